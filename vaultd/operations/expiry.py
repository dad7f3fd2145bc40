"""What the vault does with a job's safesets by the rules of retention: they expire, and are purged later.

An expired safeset can be brought back for a while, as one that an administrator deleted; then it is purged, for good.
Neither happens to a job that is frozen, nor while the vault's clock is doubted (`maintenance/expiry.py`). What is
decided is judged beside the write thread, however long the history of a job is, and done in it only if nothing that
decides has changed since: a pin, an undelete, a freeze or longer terms that came first hold.

The row of a purged safeset stays, with the reason under the vault's signature: its root is a link of the job's chain,
and an agent or a person sees why there is a gap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.ended_safesets import list_ended, save_ended
from vaultd.catalog.freezes import save_freeze
from vaultd.catalog.jobs import job_keys_after, read_job, update_job
from vaultd.catalog.safesets import safeset_at
from vaultd.operations import ledger
from vaultd.operations.job_place import job_place
from vaultd.operations.retention import Basis, basis_of, judge_job
from vaultd.operations.root_format import sign_end
from vaultd.operations.vault import Vault
from vaultd.policy.retention import Reason
from vaultd.records import Change, EndedSafeset, EndState, Freeze, Job, Safeset

JOBS_PAGE = 500
# In one entry of the journal.
ENDED_MAX = 1_000
BURST = "many runs that no schedule asked for"


@dataclass(frozen=True, slots=True)
class Kept:
    """What was done for a job, which `place` names: how many safesets expired and how many were purged, and whether it
    was frozen now.
    """

    place: str = ""
    expired: int = 0
    purged: int = 0
    is_frozen_now: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Of a job as it was. `is_burst`: it is to be frozen, and nothing else is done."""

    job: Job
    basis: Basis
    is_burst: bool
    expiring: Sequence[tuple[Safeset, Reason]]
    purging: Sequence[tuple[Safeset, EndedSafeset]]


def jobs_after(vault: Vault, after: bytes) -> list[bytes]:
    """A page of the keys (account and job) of all jobs, removed ones too; empty after the last."""
    with vault.catalog.read() as view:
        return list(islice(job_keys_after(view, after), JOBS_PAGE))


def find_due(vault: Vault, job_key: bytes, now_ns: int) -> Due | None:
    """What there is to do for the job, if anything: at most ENDED_MAX safesets expire and as many are purged."""
    with vault.catalog.read() as view:
        job = read_job(view, job_key[:16], job_key[16:])
        if job is None or not job.complete_sequence:
            return None
        found = judge_job(view, job, now_ns)
        expiring = [
            (found.safesets[one.point.timeline, one.point.sequence], one.reason) for one in found.verdicts if one.goes
        ]
        purging = [] if found.basis.freeze.is_on else _purgeable(vault, view, job, now_ns)
        due = Due(job, found.basis, found.is_burst, expiring[:ENDED_MAX], purging)
    return due if due.is_burst or due.expiring or due.purging else None


def keep_house(vault: Vault, due: Due, now_ns: int) -> Kept | None:
    """W. None where something changed since it was found due."""
    with vault.catalog.read() as view:
        job = read_job(view, due.job.account_id, due.job.job_id)
        if job is None:
            return None
        basis, place = basis_of(view, job), job_place(view, job)
    if due.is_burst and basis.freeze == due.basis.freeze:
        # Whatever else changed: whoever goes on and on with runs does not put the alarm off.
        freeze = Freeze(is_on=True, reason=BURST, changed_ns=now_ns)
        ledger.record(vault, save_freeze(job.account_id, job.job_id, freeze))
        return Kept(place, is_frozen_now=True)
    if (job, basis) != (due.job, due.basis):
        return None
    changes: list[Change] = []
    for safeset, reason in due.expiring:
        changes += save_ended(job.account_id, safeset, EndedSafeset(EndState.EXPIRED, reason.value, now_ns))
    if due.expiring:
        changes += update_job(msgspec.structs.replace(job, safesets=job.safesets - len(due.expiring)))
    changes += _purge(vault, job, due.purging, now_ns)
    ledger.record(vault, changes)
    return Kept(place, len(due.expiring), len(due.purging))


def _purgeable(vault: Vault, view: View, job: Job, now_ns: int) -> list[tuple[Safeset, EndedSafeset]]:
    """Those that nobody can bring back any more."""
    life_ns = vault.config.undelete_seconds * 1_000_000_000
    over = (
        (place, ended)
        for place, ended in list_ended(view, job.account_id, job.job_id)
        if ended.state is not EndState.PURGED and now_ns - ended.ended_ns >= life_ns
    )
    found = ((safeset_at(view, job.account_id, job.job_id, place), ended) for place, ended in islice(over, ENDED_MAX))
    return [(safeset, ended) for safeset, ended in found if safeset is not None]


def _purge(vault: Vault, job: Job, purged: Iterable[tuple[Safeset, EndedSafeset]], now_ns: int) -> list[Change]:
    changes: list[Change] = []
    for safeset, ended in purged:
        signature = sign_end(vault.signing_key, safeset.root_hash, vault.vault_id, ended, now_ns)
        gone = msgspec.structs.replace(ended, state=EndState.PURGED, purged_ns=now_ns, signature=signature)
        changes += save_ended(job.account_id, safeset, gone)
    return changes
