"""What an administrator decides about one safeset: held with a reason, deleted, brought back."""

from dataclasses import dataclass

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.ended_safesets import read_ended, remove_ended, save_ended
from vaultd.catalog.freezes import read_freeze
from vaultd.catalog.jobs import update_job
from vaultd.catalog.pins import read_pin, remove_pin, save_pin
from vaultd.catalog.safesets import read_safeset
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, named_job
from vaultd.operations.auditing import audited
from vaultd.operations.replaced import is_replaced
from vaultd.operations.root_format import parse_root
from vaultd.operations.vault import Vault
from vaultd.policy.retention import DAY_NS, DAYS_MAX
from vaultd.records import EndedSafeset, EndState, Identity, Job, Pin, Safeset

REASON_CHARACTERS_MAX = 200
BY_ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Named:
    """One safeset of a job."""

    computer: str
    job: str
    number: int

    @property
    def subject(self) -> str:
        return f"{self.computer}/{self.job} {self.number}"


def pin(vault: Vault, identity: Identity, named: Named, reason: str) -> None:
    """W. One that is pinned gets the new reason."""
    check_reason(reason)
    with vault.catalog.read() as view:
        job, safeset = _standing(view, identity, named)
        audit = audited(vault, view, identity, "safeset.pin", named.subject)
    held = Pin(reason, vault.clock.now_ns(), identity.name)
    ledger.record(vault, [*save_pin(job.account_id, safeset, held), *audit])


def unpin(vault: Vault, identity: Identity, named: Named) -> None:
    """W."""
    with vault.catalog.read() as view:
        job, safeset = _standing(view, identity, named)
        if read_pin(view, job.account_id, safeset) is None:
            raise Conflict(f"safeset {named.number} of job {job.name!r} is not pinned")
        audit = audited(vault, view, identity, "safeset.unpin", named.subject)
    ledger.record(vault, [*remove_pin(job.account_id, safeset), *audit])


def delete(vault: Vault, identity: Identity, named: Named) -> int:
    """W. Until when (ns) it can be brought back."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job, safeset = _standing(view, identity, named)
        if safeset.sequence == job.complete_sequence:
            raise Conflict(
                f"safeset {named.number} is the newest of job {job.name!r}, which always stays",
                "the next run makes a newer one",
            )
        if read_pin(view, job.account_id, safeset) is not None:
            raise Conflict(f"safeset {named.number} of job {job.name!r} is pinned", "`vaultctl safeset unpin` first")
        freeze = read_freeze(view, job.account_id, job.job_id)
        if freeze is not None and freeze.is_on:
            raise Conflict(f"job {job.name!r} is frozen: {freeze.reason}", "`vaultctl job unfreeze` first")
        audit = audited(vault, view, identity, "safeset.delete", named.subject)
    ended = EndedSafeset(EndState.DELETED, BY_ADMINISTRATOR, now_ns)
    fewer = msgspec.structs.replace(job, safesets=job.safesets - 1)
    ledger.record(vault, [*save_ended(job.account_id, safeset, ended), *update_job(fewer), *audit])
    return now_ns + vault.config.undelete_seconds * 1_000_000_000


def undelete(vault: Vault, identity: Identity, named: Named, reason: str) -> None:
    """W. It is pinned with the reason: the rules that ended it would do so again."""
    check_reason(reason)
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job, safeset = _named(view, identity, named)
        ended = read_ended(view, job.account_id, safeset)
        if ended is None:
            raise Conflict(f"safeset {named.number} of job {job.name!r} was not deleted and has not expired")
        if ended.state is EndState.PURGED:
            raise NotFound(f"safeset {named.number} of job {job.name!r} was purged: nothing brings it back")
        if now_ns - safeset.stored_at_ns > DAYS_MAX * DAY_NS:
            raise Conflict(
                f"safeset {named.number} of job {job.name!r} is older than {DAYS_MAX} days, which none may be"
            )
        audit = audited(vault, view, identity, "safeset.undelete", named.subject)
    more = msgspec.structs.replace(job, safesets=job.safesets + 1)
    changes = [
        *remove_ended(job.account_id, safeset),
        *save_pin(job.account_id, safeset, Pin(reason, now_ns, identity.name)),
    ]
    ledger.record(vault, [*changes, *update_job(more), *audit])


def _named(view: View, identity: Identity, named: Named) -> tuple[Job, Safeset]:
    job = named_job(view, named_computer(view, identity, named.computer), named.job)
    safeset = read_safeset(view, job, named.number)
    if safeset is None or is_replaced(view, job, safeset):
        raise NotFound(f"job {job.name!r} does not have safeset {named.number}")
    if not parse_root(safeset.root).complete:
        raise Conflict(
            f"safeset {named.number} of job {job.name!r} is provisional", "the next complete one replaces it"
        )
    return job, safeset


def _standing(view: View, identity: Identity, named: Named) -> tuple[Job, Safeset]:
    job, safeset = _named(view, identity, named)
    ended = read_ended(view, job.account_id, safeset)
    if ended is not None:
        raise NotFound(f"safeset {named.number} of job {job.name!r} is {ended.state.value}", ended_hint(ended))
    return job, safeset


def ended_hint(ended: EndedSafeset) -> str:
    if ended.state is EndState.PURGED:
        return "it is gone for good"
    return "`vaultctl safeset undelete` brings it back"


def check_reason(reason: str) -> None:
    if not 1 <= len(reason) <= REASON_CHARACTERS_MAX or not reason.isprintable():
        raise BadRequest(f"reason must have 1 to {REASON_CHARACTERS_MAX} printable characters")
