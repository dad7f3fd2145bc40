"""Which safesets use what came to count as damaged or lost: found by walking their companions, kept in the catalog.

A look goes through the safesets of a keyring, or through all, in pieces of bounded work. What it finds is settled page
by page; only when everything is durable the look itself is concluded, so that one that a crash broke off is made again.
A safeset stays damaged until the record that was found lost is here again, and a walk finds no other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from vaultd.catalog.damaged_safesets import count_damaged, list_damaged, mark_damaged, mark_whole, read_damage
from vaultd.catalog.database import View
from vaultd.catalog.jobs import owner_of, read_job
from vaultd.catalog.rows import decode, read
from vaultd.operations import ledger
from vaultd.operations.hurt_walk import HurtWalk
from vaultd.operations.job_place import job_place
from vaultd.operations.standing import is_live
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Change, DamagedSafeset, Safeset
from vaultd.store.damage_looks import Due

SAFESETS_AT_ONCE = 32
MARKS_AT_ONCE = 256
JOB_KEY_BYTES = 32  # of a safeset's key: account and job


@dataclass(frozen=True, slots=True)
class Found:
    """Of the safeset with this key: a record that it uses and that is lost, empty where all are here."""

    safeset_key: bytes
    keyring_id: bytes
    lost_id: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """A safeset that is damaged now, or is not any more; `place` names its job."""

    place: str
    number: int
    is_damaged: bool


class Look:
    """Through the safesets of a keyring, or all. `is_cut`: something was out of reach, so it is to be made again."""

    def __init__(self, vault: Vault, keyring_id: bytes | None) -> None:
        self.is_cut = False
        self._vault = vault
        self._keyring_id = keyring_id
        self._walk, self._job_key = HurtWalk(vault.store), b""

    def run(self) -> Iterator[list[Found]]:
        """An item for each piece of work, most of them empty."""
        after = b""
        while True:
            with self._vault.catalog.read() as view:
                rows = list(islice(_safesets(view, self._keyring_id, after), SAFESETS_AT_ONCE))
            found: list[Found] = []
            for key, safeset in rows:
                if self._keyring_id in (None, safeset.keyring_id):
                    yield from self._look_at(key, safeset, found)
            yield found
            if len(rows) < SAFESETS_AT_ONCE:
                return
            after = rows[-1][0]

    def run_damaged(self) -> Iterator[list[Found]]:
        """The same through those that are damaged: one whose lost record is not here again is not walked."""
        after = b""
        while True:
            with self._vault.catalog.read() as view:
                keys = [key for key, _ in islice(list_damaged(view, after), MARKS_AT_ONCE)]
                rows = [(key, read(view, "safesets", key, Safeset)) for key in keys]
            found: list[Found] = []
            for key, safeset in rows:
                if safeset is not None:
                    yield from self._look_at(key, safeset, found)
            yield found
            if len(keys) < MARKS_AT_ONCE:
                return
            after = keys[-1]

    def _look_at(self, key: bytes, safeset: Safeset, found: list[Found]) -> Iterator[list[Found]]:
        with self._vault.catalog.read() as view:
            job, mark = read_job(view, key[:16], key[16:JOB_KEY_BYTES]), read_damage(view, key)
            is_out_of_use = job is not None and not is_live(view, job, safeset)
        if is_out_of_use:  # nobody can restore it
            found.append(Found(key, safeset.keyring_id, b""))
            return
        if mark is not None and self._is_lost(mark):
            return
        if key[:JOB_KEY_BYTES] != self._job_key:
            self._walk, self._job_key = HurtWalk(self._vault.store), key[:JOB_KEY_BYTES]
        with translated():
            for _ in self._walk.run(safeset):
                yield []
        self.is_cut = self.is_cut or self._walk.is_cut
        if self._walk.lost_id or not self._walk.is_cut:
            found.append(Found(key, safeset.keyring_id, self._walk.lost_id))

    def _is_lost(self, mark: DamagedSafeset) -> bool:
        with translated():
            return self._vault.store.looks.lost(mark.keyring_id, [mark.lost_id]) != [False]


def settle(vault: Vault, found: Sequence[Found]) -> list[Changed]:
    """W. What changes of what is known; one entry of the journal."""
    now_ns = vault.clock.now_ns()
    changes: list[Change] = []
    told: list[Changed] = []
    with vault.catalog.read() as view:
        for one in found:
            held = read_damage(view, one.safeset_key)
            lost_id = b"" if held is None else held.lost_id
            if one.lost_id == lost_id:
                continue
            if one.lost_id:
                row = DamagedSafeset(one.keyring_id, one.lost_id, now_ns if held is None else held.found_ns)
                changes.append(mark_damaged(one.safeset_key, row))
            else:
                changes.append(mark_whole(one.safeset_key))
            if bool(one.lost_id) != bool(lost_id):
                told.append(_changed(view, one))
    if changes:
        ledger.record(vault, changes)
    return told


def due(vault: Vault) -> Due:
    with translated():
        return vault.store.looks.due()


def conclude(vault: Vault, looked_at: Due) -> None:
    """W."""
    with translated():
        vault.store.looks.conclude(looked_at)


def count(vault: Vault) -> int:
    with vault.catalog.read() as view:
        return count_damaged(view)


def _safesets(view: View, keyring_id: bytes | None, after: bytes) -> Iterator[tuple[bytes, Safeset]]:
    """By their keys; those of the account that has the keyring, or of all."""
    owner = b"" if keyring_id is None else owner_of(view, keyring_id) or b""
    for key, value in view.scan("safesets", owner, after and after[len(owner) :] + b"\0"):
        yield key, decode("safesets", key, value, Safeset)


def _changed(view: View, one: Found) -> Changed:
    account_id, job_id = one.safeset_key[:16], one.safeset_key[16:JOB_KEY_BYTES]
    job = read_job(view, account_id, job_id)
    place = f"account {account_id.hex()}, job {job_id.hex()}" if job is None else job_place(view, job)
    return Changed(place, int.from_bytes(one.safeset_key[-8:], "big"), bool(one.lost_id))
