"""Leave for one computer to restore one job of another computer of the account, once: given, shown, taken back, used.

The first restore that is opened under a grant uses it; from then on it is good for a day, so that a restore which was
cut can be finished. That use is durable before the restore gets anything.

A restore that an administrator ordered there needs none and uses none (`leave.py`).

The removal of the computer that it was given to, or of a job of which nothing is stored, takes it away (`removal.py`).
Other removals do not: what a removed job or computer stored is restored under a grant.
"""

import shlex
from dataclasses import dataclass

import msgspec

from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.grants import list_grants, read_grant, remove_grant, save_grant
from vaultd.catalog.jobs import read_job
from vaultd.errors import BadRequest, Conflict, NotAllowed, NotFound
from vaultd.operations import leave, ledger
from vaultd.operations.access import named_computer, named_job, own_computer
from vaultd.operations.auditing import audited
from vaultd.operations.vault import Vault
from vaultd.policy.grant_life import end_of_grant, is_grant_good
from vaultd.records import Computer, Grant, Identity, Job, Role

DAYS_MAX = 365
DAY_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Granting:
    """`to` may restore the job of `computer`."""

    computer: str
    job: str
    to: str


class GrantSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`first_used_ns` is 0 before its first use; `end_ns` follows from it."""

    computer: str
    job: str
    to: str
    created_ns: int
    end_ns: int
    first_used_ns: int
    is_good: bool


def give(vault: Vault, identity: Identity, granting: Granting, days: int) -> GrantSummary:
    """W. One that is there for the same job and computer is replaced, used or not."""
    if not 1 <= days <= DAYS_MAX:
        raise BadRequest(f"days must be 1 to {DAYS_MAX}, not {days}")
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job, to = _parties(view, identity, granting)
        if job.computer_id == to.computer_id:
            raise Conflict(
                f"job {job.name!r} is one of {to.name!r} itself: it needs no grant", "name another computer with --to"
            )
        _refuse_useless(job, to)
        grant = Grant(job.job_id, to.computer_id, now_ns, now_ns + days * DAY_NS)
        audit = audited(vault, view, identity, "safeset.grant", _subject(granting))
        summary = _summarise(view, identity.account_id, grant, now_ns)
    ledger.record(vault, [*save_grant(identity.account_id, grant), *audit])
    return summary


def list_all(vault: Vault, identity: Identity) -> list[GrantSummary]:
    """Those that are over too, until they are taken back or given anew."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        return [
            _summarise(view, identity.account_id, grant, now_ns) for grant in list_grants(view, identity.account_id)
        ]


def revoke(vault: Vault, identity: Identity, granting: Granting) -> None:
    """W. What goes on under it ends with its next batch, but for an order's."""
    with vault.catalog.read() as view:
        job, to = _parties(view, identity, granting)
        grant = read_grant(view, identity.account_id, job.job_id, to.computer_id)
        if grant is None:
            raise NotFound(
                f"computer {to.name!r} has no grant for job {job.name!r}", "`vaultctl safeset grants` shows them"
            )
        audit = audited(vault, view, identity, "safeset.revoke", _subject(granting))
    ledger.record(vault, [*remove_grant(identity.account_id, job.job_id, to.computer_id), *audit])
    leave.take_back_tickets(vault, identity.account_id, job.job_id, to.computer_id)


def require(vault: Vault, view: View, identity: Identity, job: Job) -> None:
    """Leave for what an agent asks of a job of its account: its own needs none."""
    if identity.role is not Role.AGENT or job.computer_id == identity.computer_id:
        return
    parties, now_ns = (identity.account_id, job.job_id, identity.computer_id), vault.clock.now_ns()
    if leave.good_grant(view, *parties, now_ns) is None and not leave.is_ordered(view, *parties, now_ns):
        raise _not_granted(view, identity, job)


def use(vault: Vault, identity: Identity, job_id: bytes) -> None:
    """W. The first use of an agent's grant is noted, but not under an order; one that is over by now is refused."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job = read_job(view, identity.account_id, job_id)
        if job is None or job.computer_id == identity.computer_id:
            return
        own, parties = own_computer(view, identity), (identity.account_id, job_id, identity.computer_id)
        if leave.is_ordered(view, *parties, now_ns):
            return
        grant = leave.good_grant(view, *parties, now_ns)
        if grant is None:
            raise _not_granted(view, identity, job)
        if grant.first_used_ns:
            return
        audit = audited(vault, view, identity, "safeset.use_grant", f"{job.name} by {own.name}")
    used = msgspec.structs.replace(grant, first_used_ns=now_ns)
    ledger.record(vault, [*save_grant(identity.account_id, used), *audit])


def _refuse_useless(job: Job, to: Computer) -> None:
    if to.removed_ns:
        raise Conflict(f"computer {to.name!r} was removed", "name another computer with --to")
    if job.removed_ns and not job.safesets:
        raise Conflict(f"job {job.name!r} was removed, and nothing is stored of it")


def _parties(view: View, identity: Identity, granting: Granting) -> tuple[Job, Computer]:
    job = named_job(view, named_computer(view, identity, granting.computer), granting.job)
    return job, named_computer(view, identity, granting.to)


def _subject(granting: Granting) -> str:
    return f"{granting.computer}/{granting.job} to {granting.to}"


def _is_good(grant: Grant, now_ns: int) -> bool:
    return is_grant_good(grant.created_ns, grant.expires_ns, grant.first_used_ns, now_ns)


def _not_granted(view: View, identity: Identity, job: Job) -> NotAllowed:
    owner, own = _name(view, identity.account_id, job.computer_id), own_computer(view, identity).name
    words = shlex.join(["vaultctl", "safeset", "grant", owner, job.name, "--to", own])
    return NotAllowed(
        f"this computer has no grant for job {job.name!r} of computer {owner!r}, or it is used up or over",
        f"an administrator of the account gives one: {words}",
    )


def _name(view: View, account_id: bytes, computer_id: bytes) -> str:
    computer = read_computer(view, account_id, computer_id)
    return computer_id.hex() if computer is None else computer.name


def _summarise(view: View, account_id: bytes, grant: Grant, now_ns: int) -> GrantSummary:
    """Before removals took them away some were left that nobody can use."""
    job, to = read_job(view, account_id, grant.job_id), read_computer(view, account_id, grant.computer_id)
    is_there = to is not None and not to.removed_ns
    return GrantSummary(
        computer=_name(view, account_id, grant.job_id if job is None else job.computer_id),
        job=grant.job_id.hex() if job is None else job.name,
        to=grant.computer_id.hex() if to is None else to.name,
        created_ns=grant.created_ns,
        end_ns=end_of_grant(grant.expires_ns, grant.first_used_ns),
        first_used_ns=grant.first_used_ns,
        is_good=is_there and _is_good(grant, now_ns),
    )
