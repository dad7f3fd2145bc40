"""The day whose slot a job filled last; a job without a row filled none."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, FilledSlot, Job


def save_slot(job: Job, day: int) -> list[Change]:
    return [put("filled_slots", job.account_id + job.job_id, FilledSlot(day))]


def read_slot(view: View, job: Job) -> int:
    """-1 before the first."""
    found = read(view, "filled_slots", job.account_id + job.job_id, FilledSlot)
    return -1 if found is None else found.day
