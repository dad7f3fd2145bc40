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
from itertools import takewhile

from vaultd.catalog.computers import list_computers
from vaultd.catalog.database import View
from vaultd.catalog.distrusted_keys import KeyName, list_distrusted, remove_distrusted, save_distrusted
from vaultd.catalog.jobs import list_jobs, read_job
from vaultd.catalog.rows import name_key
from vaultd.catalog.runs import list_runs_back, save_run
from vaultd.operations import ledger
from vaultd.operations.access import named_computer
from vaultd.operations.auditing import audited
from vaultd.operations.runs import ended_run
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Change, Computer, Identity, Job, Outcome, Run


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Runs of the computer that were not over before this time."""

    computer: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Distrusted:
    runs: int
    keys: int


def distrust(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """W."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        runs = suspect_runs(view, identity, suspicion)
        audit = audited(vault, view, identity, "computer.distrust", suspicion.computer)
        ended = [change for run in runs if _goes_on(run) for change in _ended(view, run, now_ns)]
    keys = keys_of(runs)
    return _save(vault, runs, keys, [*save_distrusted(identity.account_id, keys), *ended, *audit])


def trust_again(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """W. What was not stored anew meanwhile counts as before."""
    with vault.catalog.read() as view:
        runs = suspect_runs(view, identity, suspicion)
        audit = audited(vault, view, identity, "computer.distrust.undo", suspicion.computer)
    keys = keys_of(runs)
    return _save(vault, runs, keys, [*remove_distrusted(identity.account_id, keys), *audit])


def count(vault: Vault, identity: Identity, suspicion: Suspicion) -> Distrusted:
    """What the word would be about."""
    with vault.catalog.read() as view:
        runs = suspect_runs(view, identity, suspicion)
    return Distrusted(len(runs), len(keys_of(runs)))


def tell_store(vault: Vault) -> None:
    """W. After a change: every key of the vault that is distrusted."""
    with vault.catalog.read() as view:
        keys = list(list_distrusted(view))
    with translated():
        vault.store.distrust_keys(keys)


def suspect_runs(view: View, identity: Identity, suspicion: Suspicion) -> list[Run]:
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


def keys_of(runs: Iterable[Run]) -> list[KeyName]:
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
