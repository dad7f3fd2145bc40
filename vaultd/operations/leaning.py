"""What leans on distrusted runs: the account's safesets that they made, or that use what they stored.

It comes in pages, and a page costs what it looks at, however long the history is: which runs are meant is looked up for
the first one and remembered for those behind it.
"""

from dataclasses import dataclass
from itertools import islice

import msgspec

from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_job
from vaultd.catalog.rows import decode
from vaultd.catalog.runs import read_run
from vaultd.operations.disk_hits import HitWalk
from vaultd.operations.distrust import Suspicion, keys_of, suspect_runs
from vaultd.operations.standing import is_standing
from vaultd.operations.store_errors import translated
from vaultd.operations.suspects import HIT, Suspects, find_suspects
from vaultd.operations.vault import Vault
from vaultd.records import Identity, Safeset

SAFESETS_AT_ONCE = 32


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


def leaning(vault: Vault, identity: Identity, suspicion: Suspicion, after: bytes) -> LeaningPage:
    """Those behind a place; a bounded number is looked at."""
    asked = (identity.account_id, suspicion.computer, suspicion.since_ns)
    suspects = vault.suspects.find(asked) if after else None
    if suspects is None:
        suspects = _look(vault, identity, suspicion)
        vault.suspects.keep(asked, suspects)
    with vault.catalog.read() as view:
        rows = list(islice(view.scan("safesets", identity.account_id, _behind(after)), SAFESETS_AT_ONCE))
    found = []
    walk, job_id = HitWalk(vault.store, suspects), b""
    for key, value in rows:
        safeset = decode("safesets", key, value, Safeset)
        is_made = _is_made(vault, identity, suspects, safeset)
        if (safeset.keyring_id not in suspects.keyring_ids and not is_made) or _is_gone(vault, identity, safeset):
            continue
        if safeset.job_id != job_id:
            walk, job_id = HitWalk(vault.store, suspects), safeset.job_id
        hit = walk.run(safeset).get(*HIT)
        if hit is not None or walk.is_cut or is_made:
            with vault.catalog.read() as view:
                found.append(_leaning(view, identity, safeset, is_made, hit.records if hit else 0))
            found[-1] = msgspec.structs.replace(found[-1], at_least=walk.is_cut)
    return LeaningPage(found, rows[-1][0] if len(rows) == SAFESETS_AT_ONCE else b"")


def _look(vault: Vault, identity: Identity, suspicion: Suspicion) -> Suspects:
    with vault.catalog.read() as view:
        runs = suspect_runs(view, identity, suspicion)
    with translated():
        return find_suspects(runs, vault.store.key_numbers(keys_of(runs)))


def _is_made(vault: Vault, identity: Identity, suspects: Suspects, safeset: Safeset) -> bool:
    if safeset.job_id not in suspects.oldest:
        return False
    with vault.catalog.read() as view:
        return suspects.are_makers(read_run(view, identity.account_id, safeset.run_id))


def _is_gone(vault: Vault, identity: Identity, safeset: Safeset) -> bool:
    """A provisional one that another took the place of, or one that is not kept any more."""
    with vault.catalog.read() as view:
        job = read_job(view, identity.account_id, safeset.job_id)
        return job is not None and not is_standing(view, job, safeset)


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
