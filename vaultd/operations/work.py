"""What the service of an agent is told: which runs are asked for, and what an administrator has cancelled."""

from dataclasses import dataclass

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_computer_jobs, update_job
from vaultd.catalog.runs import active_run, save_run
from vaultd.errors import Conflict
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, named_job, own_computer, working_job
from vaultd.operations.auditing import audited
from vaultd.operations.runs import has_its_safeset
from vaultd.operations.vault import Vault
from vaultd.records import Change, Identity, Job, Outcome, Run
from vaultd.store.journal.format import EntryKind


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What was taken back: a request that waited, a run that went on, or both."""

    computer_id: bytes
    job_id: bytes
    request: bool
    run: bool


def asked_jobs(vault: Vault, identity: Identity) -> list[bytes]:
    """Jobs of the agent's own computer whose request waits."""
    with vault.catalog.read() as view:
        computer = own_computer(view, identity)
        jobs = list_computer_jobs(view, computer.account_id, computer.computer_id)
        return [job.job_id for job in jobs if _is_asked(job) and not job.removed_ns]


def cancel(vault: Vault, identity: Identity, computer: str, name: str) -> Cancelled:
    """W. One entry: the waiting request is taken and begins nothing, the run is aborted. From then on the vault takes
    nothing more of it, whether or not its agent hears of it.
    """
    with vault.catalog.read() as view:
        job = working_job(view, named_job(view, named_computer(view, identity, computer), name))
        run = _unfinished(view, job)
        is_asked = _is_asked(job)
        if run is None and not is_asked:
            raise Conflict(f"no run of job {name!r} goes on or is asked for", "`vaultctl job show` has the last ones")
        changes = audited(vault, view, identity, "job.cancel", f"{computer}/{name}")
    if is_asked:
        changes += update_job(msgspec.structs.replace(job, requests_taken=job.request))
    if run is None:
        ledger.record(vault, changes)
    else:
        changes += _aborted(run, vault.clock.now_ns())
        ledger.record(vault, changes, EntryKind.run_end, job=job.job_id, run=run.run_id)
    return Cancelled(job.computer_id, job.job_id, is_asked, run is not None)


def _is_asked(job: Job) -> bool:
    return job.request > job.requests_taken


def _unfinished(view: View, job: Job) -> Run | None:
    """The run that goes on; not one whose safeset is there and whose agent only has to say that it ended."""
    run = active_run(view, job.account_id, job.job_id)
    return None if run is not None and has_its_safeset(job, run) else run


def _aborted(run: Run, now_ns: int) -> list[Change]:
    return save_run(msgspec.structs.replace(run, outcome=Outcome.ABORTED, end_ns=now_ns))
