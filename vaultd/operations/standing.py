"""Which safesets people see, and which are here: nothing replaced them, and they did not end or were not purged."""

from vaultd.catalog.database import View
from vaultd.catalog.ended_safesets import read_ended
from vaultd.catalog.safesets import read_safeset
from vaultd.operations.replaced import is_replaced
from vaultd.records import EndState, Job, Run, Safeset


def is_standing(view: View, job: Job, safeset: Safeset) -> bool:
    """What is listed, restored and counted."""
    return not is_replaced(view, job, safeset) and read_ended(view, job.account_id, safeset) is None


def is_live(view: View, job: Job, safeset: Safeset) -> bool:
    """What it uses is kept: it stands, or can be brought back."""
    if is_replaced(view, job, safeset):
        return False
    ended = read_ended(view, job.account_id, safeset)
    return ended is None or ended.state is not EndState.PURGED


def standing_sequence(view: View, job: Job, run: Run) -> int:
    """The number of the newest safeset that the run made, as long as people see it; else 0."""
    safeset = read_safeset(view, job, run.sequence) if run.sequence else None
    return 0 if safeset is not None and not is_standing(view, job, safeset) else run.sequence
