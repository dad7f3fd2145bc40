"""Which safesets of a job were provisional and are replaced: they are neither listed nor restored nor counted."""

from vaultd.catalog.database import View
from vaultd.catalog.runs import read_run
from vaultd.catalog.safesets import safesets_after
from vaultd.operations.root_format import parse_root
from vaultd.policy import provisional
from vaultd.records import Job, Run, Safeset


def is_replaced(view: View, job: Job, safeset: Safeset) -> bool:
    if parse_root(safeset.root).complete:
        return False
    is_settled = job.complete_sequence > safeset.sequence  # then the run is not asked for: there may be very many
    run = None if is_settled else read_run(view, job.account_id, safeset.run_id)
    newest_of_run = safeset.sequence if run is None else run.sequence  # a row that is lost replaces nothing
    return provisional.is_replaced(safeset.sequence, job.complete_sequence, newest_of_run)


def replaced_by(view: View, job: Job, safeset: Safeset) -> int:
    """The number of the safeset that took the place of this one; 0 where none did."""
    for later in safesets_after(view, job, safeset.sequence):
        if later.run_id == safeset.run_id or parse_root(later.root).complete:
            return later.sequence
    return 0


def count_replaced(view: View, job: Job, run: Run, *, complete: bool) -> int:
    """How many safesets the next one of this run replaces."""
    if not complete:
        return 1 if run.sequence else 0  # a run goes on only behind provisional ones
    # All behind the newest complete one are provisional, and of each run the newest alone is not replaced yet.
    return len({safeset.run_id for safeset in safesets_after(view, job, job.complete_sequence)})
