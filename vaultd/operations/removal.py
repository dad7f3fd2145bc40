"""Removing jobs and computers: they work no more, and everything that they stored stays and can be restored.

A removed job takes no run, and the one that goes on is over; its own computer may go on restoring it. A removed
computer signs in no more, what it fetches ends with the next batch, and its jobs are removed with it. Their names stay
taken while there are safesets under them. Grants that nobody can use any more go in the same entry: those to the
computer, and those for jobs of which nothing is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from vaultd.catalog.computers import update_computer
from vaultd.catalog.database import View
from vaultd.catalog.grants import list_granted, remove_grant
from vaultd.catalog.jobs import list_computer_jobs, remove_secret, update_job
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, named_job
from vaultd.operations.auditing import audited
from vaultd.operations.restore_orders import cancelled_with
from vaultd.operations.runs import end_active
from vaultd.operations.vault import Vault
from vaultd.records import NO_ID, Change, Identity, Job


@dataclass(frozen=True, slots=True)
class RemovedJob:
    job_id: bytes
    removed_ns: int


@dataclass(frozen=True, slots=True)
class RemovedComputer:
    """`job_ids`: all its jobs, also those that were removed before."""

    computer_id: bytes
    job_ids: list[bytes]
    removed_ns: int


def remove_job(vault: Vault, identity: Identity, computer: str, name: str) -> RemovedJob:
    """W. One that is removed already stays as it is."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        if job.removed_ns:
            return RemovedJob(job.job_id, job.removed_ns)
        audit = audited(vault, view, identity, "job.remove", f"{computer}/{name}")
        changes = [*_without(view, job, now_ns), *_useless_grants(view, identity, [job])]
    ledger.record(vault, [*changes, *audit])
    return RemovedJob(job.job_id, now_ns)


def remove_computer(vault: Vault, identity: Identity, name: str) -> RemovedComputer:
    """W. With all its jobs, in one entry; one that is removed already stays as it is."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        computer = named_computer(view, identity, name)
        jobs = list(list_computer_jobs(view, computer.account_id, computer.computer_id))
        job_ids = [job.job_id for job in jobs]
        if computer.removed_ns:
            return RemovedComputer(computer.computer_id, job_ids, computer.removed_ns)
        audit = audited(vault, view, identity, "computer.remove", name)
        changes = [change for job in jobs if not job.removed_ns for change in _without(view, job, now_ns)]
        changes += _useless_grants(view, identity, jobs, computer.computer_id)
        changes += cancelled_with(view, computer, now_ns)
    changes += update_computer(msgspec.structs.replace(computer, removed_ns=now_ns))
    ledger.record(vault, [*changes, *audit])
    vault.tickets.take_back(computer.computer_id)
    return RemovedComputer(computer.computer_id, job_ids, now_ns)


def _without(view: View, job: Job, now_ns: int) -> list[Change]:
    """A password that its agent has not taken yet is not handed out any more."""
    removed = msgspec.structs.replace(job, removed_ns=now_ns)
    return [*update_job(removed), *remove_secret(job), *end_active(view, job, now_ns)]


def _useless_grants(view: View, identity: Identity, jobs: Iterable[Job], computer_id: bytes = NO_ID) -> list[Change]:
    empty = {job.job_id for job in jobs if not job.safesets}
    changes: list[Change] = []
    for job_id, to in list_granted(view, identity.account_id):
        if to == computer_id or job_id in empty:
            changes += remove_grant(identity.account_id, job_id, to)
    return changes
