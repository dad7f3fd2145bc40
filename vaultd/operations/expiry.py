"""What the vault does with a job's safesets by the rules of retention: they expire, and are purged later.

An expired safeset can be brought back for a while, as one that an administrator deleted; then it is purged, for good.
Neither happens to a job that is frozen, nor while the vault's clock is doubted (`maintenance/expiry.py`). What is
decided is judged beside the write thread, however long the history of a job is, and done in it only if nothing that
decides has changed since: a pin, an undelete, a freeze or longer terms that came first hold.

The row of a purged safeset stays, with the reason under the vault's signature: its root is a link of the job's chain,
and an agent or a person sees why there is a gap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
from blake3 import blake3

from vaultd.catalog.database import View
from vaultd.catalog.ended_safesets import read_ended, save_ended
from vaultd.catalog.freezes import save_freeze
from vaultd.catalog.jobs import job_keys_after, read_job, update_job
from vaultd.catalog.safesets import safeset_at
from vaultd.errors import Damaged
from vaultd.operations import ledger
from vaultd.operations.job_place import job_place
from vaultd.operations.retention import Basis, JobRetention, basis_of, judge_job
from vaultd.operations.root_format import sign_end
from vaultd.operations.vault import Vault
from vaultd.policy.retention import Reason, unchanged_until
from vaultd.records import Change, EndedSafeset, EndState, Freeze, Job, Safeset

JOBS_PAGE = 500
# At once: each is signed when it is purged, and others wait to write meanwhile.
ENDED_MAX = 250
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
    """Of a job as it was: what is to be done now. `is_burst`: it is to be frozen, and nothing else is done."""

    job: Job
    basis: Basis
    is_burst: bool
    expiring: Sequence[tuple[Safeset, Reason]]
    purging: Sequence[tuple[Safeset, EndedSafeset]]


@dataclass(frozen=True, slots=True)
class Rest:
    """Until `until_ns`, that included, there is nothing to do for a job, as long as what decides has this digest: its
    row, which every run and whatever ends or comes back changes, and the basis.
    """

    digest: bytes
    until_ns: int


NO_REST = Rest(b"", 0)


def jobs_after(vault: Vault, after: bytes) -> list[bytes]:
    """A page of the keys (account and job) of all jobs, removed ones too; empty after the last."""
    with vault.catalog.read() as view:
        return list(islice(job_keys_after(view, after), JOBS_PAGE))


def not_at_rest(vault: Vault, job_keys: Iterable[bytes], rests: Mapping[bytes, Rest], now_ns: int) -> list[bytes]:
    """Those of which the whole history is to be looked at."""
    with vault.catalog.read() as view:
        return [key for key in job_keys if key not in rests or not _is_at_rest(view, key, rests[key], now_ns)]


def find_due(vault: Vault, job_key: bytes, now_ns: int) -> Due | Rest:
    """What there is to do for the job: at most ENDED_MAX safesets expire and as many are purged. Or until when nothing
    is.
    """
    with vault.catalog.read() as view:
        job = read_job(view, job_key[:16], job_key[16:])
        if job is None:
            return NO_REST
        found = judge_job(view, job, now_ns)
        expiring = [
            (found.safesets[one.point.timeline, one.point.sequence], one.reason) for one in found.verdicts if one.goes
        ]
        purging = [] if found.basis.freeze.is_on else _purgeable(vault, view, job, found.ended, now_ns)
        due = Due(job, found.basis, found.is_burst, expiring[:ENDED_MAX], purging)
    return due if due.is_burst or due.expiring or due.purging else _rest(vault, job, found, now_ns)


def keep_house(vault: Vault, due: Due, now_ns: int) -> Kept | None:
    """W. None where something changed since it was found due."""
    with vault.catalog.read() as view:
        job = read_job(view, due.job.account_id, due.job.job_id)
        if job is None:
            return None
        basis, place = basis_of(view, job), job_place(view, job)
        is_as_judged = (job, basis) == (due.job, due.basis) and _are_as_judged(view, due)
    if due.is_burst and basis.freeze == due.basis.freeze:
        # Whatever else changed: whoever goes on and on with runs does not put the alarm off.
        freeze = Freeze(is_on=True, reason=BURST, changed_ns=now_ns)
        ledger.record(vault, save_freeze(job.account_id, job.job_id, freeze))
        return Kept(place, is_frozen_now=True)
    if not is_as_judged:
        return None
    changes: list[Change] = []
    for safeset, reason in due.expiring:
        changes += save_ended(job.account_id, safeset, EndedSafeset(EndState.EXPIRED, reason.value, now_ns))
    if due.expiring:
        changes += update_job(msgspec.structs.replace(job, safesets=job.safesets - len(due.expiring)))
    changes += _purge(vault, job, due.purging, now_ns)
    ledger.record(vault, changes)
    return Kept(place, len(due.expiring), len(due.purging))


def _are_as_judged(view: View, due: Due) -> bool:
    """One that was brought back, let go and deleted anew leaves job and basis as they were."""
    account_id = due.job.account_id
    return all(read_ended(view, account_id, safeset) is None for safeset, _ in due.expiring) and all(
        read_ended(view, account_id, safeset) == ended for safeset, ended in due.purging
    )


def _is_at_rest(view: View, job_key: bytes, rest: Rest, now_ns: int) -> bool:
    if now_ns > rest.until_ns:
        return False
    try:
        job = read_job(view, job_key[:16], job_key[16:])
        return job is not None and _digest(job, basis_of(view, job)) == rest.digest
    except Damaged:  # it is told when its turn comes
        return False


def _rest(vault: Vault, job: Job, found: JobRetention, now_ns: int) -> Rest:
    life_ns = vault.config.undelete_seconds * 1_000_000_000
    ends = [one.ended_ns + life_ns for one in found.ended.values() if one.state is not EndState.PURGED]
    until_ns = unchanged_until(found.verdicts, found.terms_of, now_ns)
    return Rest(_digest(job, found.basis), min([until_ns, *(end_ns - 1 for end_ns in ends if end_ns > now_ns)]))


def _digest(job: Job, basis: Basis) -> bytes:
    return blake3(msgspec.msgpack.encode((job, basis), order="deterministic")).digest(length=16)


def _purgeable(
    vault: Vault, view: View, job: Job, ended: Mapping[bytes, EndedSafeset], now_ns: int
) -> list[tuple[Safeset, EndedSafeset]]:
    """Those that nobody can bring back any more."""
    life_ns = vault.config.undelete_seconds * 1_000_000_000
    over = (
        (place, one)
        for place, one in ended.items()
        if one.state is not EndState.PURGED and now_ns - one.ended_ns >= life_ns
    )
    found = ((safeset_at(view, job.account_id, job.job_id, place), one) for place, one in islice(over, ENDED_MAX))
    return [(safeset, one) for safeset, one in found if safeset is not None]


def _purge(vault: Vault, job: Job, purged: Iterable[tuple[Safeset, EndedSafeset]], now_ns: int) -> list[Change]:
    changes: list[Change] = []
    for safeset, ended in purged:
        signature = sign_end(vault.signing_key, safeset.root_hash, vault.vault_id, ended, now_ns)
        gone = msgspec.structs.replace(ended, state=EndState.PURGED, purged_ns=now_ns, signature=signature)
        changes += save_ended(job.account_id, safeset, gone)
    return changes
