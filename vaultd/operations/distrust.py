"""Distrust of a computer's runs since a time: what they stored does not count as present any more.

It is not removed and restores as before. But offers, bases and commits take it for missing, as what is damaged, so the
next run of each job of the keyring stores it anew, beside it. The word lies in the catalog, so that a restart, a
rebuild and a new index keep it; the store is told after each change and at each start. A run that is meant and goes on
ends with the word: it could add nothing that counts.

Meant is every run that was not over before that time, whenever it began: whoever has the computer can go on with it. So
are later ones of its job, by their numbers: a clock may have been set back. And so are runs of removed jobs, and of
removed computers of that name, which no name leads to any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, takewhile

import msgspec

from vaultd.catalog.computers import list_computers, read_computer
from vaultd.catalog.database import View
from vaultd.catalog.distrusted_keys import KeyName, list_distrusted, remove_distrusted, save_distrusted
from vaultd.catalog.jobs import list_jobs, read_job
from vaultd.catalog.rows import decode, name_key
from vaultd.catalog.runs import list_runs_back, save_run
from vaultd.operations import ledger
from vaultd.operations.access import named_computer
from vaultd.operations.auditing import audited
from vaultd.operations.disk_hits import HitWalk
from vaultd.operations.replaced import is_replaced
from vaultd.operations.runs import ended_run
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Change, Computer, Identity, Job, Outcome, Run, Safeset
from vaultd.store.index_rows import Location

SAFESETS_AT_ONCE = 32
_HIT = (b"distrusted",)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Runs of the computer that were not over before this time."""

    computer: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Distrusted:
    runs: int
    keys: int


class LeaningSafeset(msgspec.Struct, frozen=True, kw_only=True):
    """`is_made`: by one of the runs. `records`: how many of what they stored it uses; at least so many where a list of
    what it uses cannot be read.
    """

    computer: str
    job: str
    number: int
    stored_at_ns: int
    is_made: bool
    records: int
    at_least: bool


@dataclass(frozen=True, slots=True)
class LeaningPage:
    """`next` is where the next page begins, empty after the last."""

    safesets: list[LeaningSafeset]
    next: bytes


class _KeyPlaces:
    """Which records lie under the keys, by the numbers that the index has for them."""

    def __init__(self, numbers: frozenset[tuple[int, int]]) -> None:
        self._numbers = numbers

    def of(self, location: Location | None, id_: bytes) -> tuple[bytes, ...]:
        is_hit = location is not None and (location.keyring_number, location.key_number) in self._numbers
        return _HIT if is_hit else ()


def distrust(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """W."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        runs = _suspect_runs(view, identity, suspicion)
        audit = audited(vault, view, identity, "computer.distrust", suspicion.computer)
        ended = [change for run in runs if _goes_on(run) for change in _ended(view, run, now_ns)]
    keys = _keys(runs)
    return _save(vault, runs, keys, [*save_distrusted(identity.account_id, keys), *ended, *audit])


def trust_again(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """W. What was not stored anew meanwhile counts as before."""
    with vault.catalog.read() as view:
        runs = _suspect_runs(view, identity, suspicion)
        audit = audited(vault, view, identity, "computer.distrust.undo", suspicion.computer)
    keys = _keys(runs)
    return _save(vault, runs, keys, [*remove_distrusted(identity.account_id, keys), *audit])


def count(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """What the word would be about."""
    with vault.catalog.read() as view:
        runs = _suspect_runs(view, identity, suspicion)
    return Distrusted(len(runs), len(_keys(runs)))


def leaning(vault: Vault, identity: Identity, suspicion: Suspicion, after: bytes) -> LeaningPage:
    """The account's safesets behind a place that these runs made, or that use what they stored; a bounded number is
    looked at.
    """
    with vault.catalog.read() as view:
        runs = _suspect_runs(view, identity, suspicion)
        rows = list(islice(view.scan("safesets", identity.account_id, _behind(after)), SAFESETS_AT_ONCE))
    keys, made = _keys(runs), {run.run_id for run in runs}
    keyrings = {keyring_id for keyring_id, _ in keys}
    with translated():
        places = _KeyPlaces(vault.store.key_numbers(keys))
    found = []
    walk, job_id = HitWalk(vault.store, places), b""
    for key, value in rows:
        safeset = decode("safesets", key, value, Safeset)
        if (safeset.keyring_id not in keyrings and safeset.run_id not in made) or _is_gone(vault, identity, safeset):
            continue
        if safeset.job_id != job_id:
            walk, job_id = HitWalk(vault.store, places), safeset.job_id
        hit = walk.run(safeset).get(*_HIT)
        if hit is not None or walk.is_cut or safeset.run_id in made:
            with vault.catalog.read() as view:
                found.append(_leaning(view, identity, safeset, safeset.run_id in made, hit.records if hit else 0))
            found[-1] = msgspec.structs.replace(found[-1], at_least=walk.is_cut)
    return LeaningPage(found, rows[-1][0] if len(rows) == SAFESETS_AT_ONCE else b"")


def tell_store(vault: Vault) -> None:
    """W. After a change: every key of the vault that is distrusted."""
    with vault.catalog.read() as view:
        keys = list(list_distrusted(view))
    with translated():
        vault.store.distrust_keys(keys)


def _suspect_runs(view: View, identity: Identity, suspicion: Suspicion) -> list[Run]:
    """Goes through all jobs of the account: the names lead to the newest of a name only."""
    named = named_computer(view, identity, suspicion.computer)
    computer_ids = _same_name(view, named)
    jobs = (job for job in list_jobs(view, named.account_id) if job.computer_id in computer_ids)
    return [run for job in jobs for run in _not_over(view, job, suspicion.since_ns)]


def _same_name(view: View, named: Computer) -> set[bytes]:
    """The computer, and removed ones that had its name before."""
    key = name_key(named.name)
    return {one.computer_id for one in list_computers(view, named.account_id) if name_key(one.name) == key}


def _not_over(view: View, job: Job, since_ns: int) -> Iterable[Run]:
    """Newest first, to the oldest that was not over. Two walks, so that a long history is not held."""
    meant = (run.number for run in list_runs_back(view, job.account_id, job.job_id) if _is_since(run, since_ns))
    first = min(meant, default=None)
    if first is None:
        return ()
    return takewhile(lambda run: run.number >= first, list_runs_back(view, job.account_id, job.job_id))


def _is_since(run: Run, since_ns: int) -> bool:
    return _goes_on(run) or run.begin_ns >= since_ns or run.end_ns >= since_ns


def _keys(runs: Iterable[Run]) -> list[KeyName]:
    return [(run.keyring_id, key_id) for run in runs for key_id in run.key_ids]


def _ended(view: View, run: Run, now_ns: int) -> list[Change]:
    job = read_job(view, run.account_id, run.job_id)
    return [] if job is None else save_run(ended_run(job, run, now_ns))


def _goes_on(run: Run) -> bool:
    return run.outcome is Outcome.RUNNING


def _save(vault: Vault, runs: list[Run], keys: list[KeyName], changes: list[Change]) -> Distrusted:
    """Durable first; with it everything that was appended, so that the index has numbers for all of the keys."""
    ledger.record(vault, changes)
    tell_store(vault)
    return Distrusted(len(runs), len(keys))


def _is_gone(vault: Vault, identity: Identity, safeset: Safeset) -> bool:
    """A provisional one that another took the place of."""
    with vault.catalog.read() as view:
        job = read_job(view, identity.account_id, safeset.job_id)
        return job is not None and is_replaced(view, job, safeset)


def _behind(after: bytes) -> bytes:
    """A place is a whole key; the scan takes what comes after the account."""
    return after and after[16:] + b"\0"


def _leaning(view: View, identity: Identity, safeset: Safeset, is_made: bool, records: int) -> LeaningSafeset:  # noqa: FBT001
    job = read_job(view, identity.account_id, safeset.job_id)
    computer = None if job is None else read_computer(view, identity.account_id, job.computer_id)
    return LeaningSafeset(
        computer="" if computer is None else computer.name,
        job=safeset.job_id.hex() if job is None else job.name,
        number=safeset.sequence,
        stored_at_ns=safeset.stored_at_ns,
        is_made=is_made,
        records=records,
        at_least=False,
    )
