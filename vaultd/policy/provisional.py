"""Provisional safesets: a run that lasts makes them on its way, so that an interrupted one can be restored already.

The next one of the same run takes the place of a provisional safeset, and so does the next complete one of the job.
What was replaced stays a link of the chain of roots, and is else as if it had never been.
"""

from vaultd.records import Job


def is_replaced(sequence: int, complete_sequence: int, newest_of_run: int) -> bool:
    """Of the provisional safeset with this number, by the job's newest complete one and the newest of its own run."""
    return complete_sequence > sequence or newest_of_run != sequence


def newest_sequence(job: Job) -> int:
    """What people mean by the newest: the newest complete one, and a provisional one only while there is none. The head
    of a job is never replaced. 0 where the job has no safeset.
    """
    return job.complete_sequence or job.head_sequence
