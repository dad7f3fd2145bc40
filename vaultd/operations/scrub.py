"""What the scrub reads next, what becomes of the damage that it finds, and which safesets damage hits.

One pass goes through all containers in the order of their numbers. How far it is lies in the catalog, so that a restart
goes on with it; what was read since that was written is read once more.
"""

from collections.abc import Collection, Generator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import msgspec

from vaultd.catalog.damaged_safesets import list_damaged
from vaultd.catalog.rows import read
from vaultd.catalog.scrub_passes import ScrubPass, end_pass, read_last_pass, read_pass, save_pass
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.disk_hits import HitWalk
from vaultd.operations.disks import JOB_KEY_BYTES, SAFESETS_AT_ONCE, HitPage, name_hit
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Identity, Safeset
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers.format import container_path
from vaultd.store.index_rows import ContainerRow, Location
from vaultd.store.scrub import Piece

NOTED_AT_ONCE = 5_000  # of one commit
_DAMAGED = (b"damaged",)


@dataclass(frozen=True, slots=True)
class ScrubState:
    """`bytes_total` and `containers_total` are those of the pass that goes on, if one does. `in_doubt`: which safesets
    damage hits is being looked for.
    """

    going: ScrubPass | None
    last: ScrubPass | None
    containers_total: int
    bytes_total: int
    in_doubt: bool


# Passes


def state(vault: Vault) -> ScrubState:
    going, last = _passes(vault)
    live = vault.scrub.live
    if going is not None and live is not None and live.number == going.number:
        going = live
    with translated():
        in_doubt = vault.store.looks.is_any_due()
        rows = [] if going is None else _between(vault, 0, going.last_container)
    return ScrubState(going, last, len(rows), sum(row.acknowledged_length for row in rows), in_doubt)


def ask(vault: Vault, identity: Identity) -> int:
    """W. The number of the pass that an operator waits for: one that he asked for before, as long as it goes on."""
    with vault.catalog.read() as view:
        going, last = read_pass(view), read_last_pass(view)
        if going is not None and going.is_asked:
            return going.number
        asked = _new(vault, going or last, is_asked=True)
        audit = audited(vault, view, identity, "scrub.begin", str(asked.number))
    ledger.record(vault, [*save_pass(asked), *audit])
    vault.scrub.asked = asked.number
    return asked.number


def take_up(vault: Vault) -> ScrubPass | None:
    """W. The pass that goes on; one is begun where none does, unless it is to be asked for, or nothing is stored."""
    with vault.catalog.read() as view:
        going, last = read_pass(view), read_last_pass(view)
    days = vault.config.scrub_days
    if going is None and days and vault.store.containers():
        going = _new(vault, last, is_asked=False)
        ledger.record(vault, save_pass(going))
    return going if going is not None and (going.is_asked or days) else None


def save(vault: Vault, going: ScrubPass) -> None:
    """W. Unless another pass took its place meanwhile."""
    if _is_going(vault, going):
        ledger.record(vault, save_pass(going))


def end(vault: Vault, going: ScrubPass) -> ScrubPass:
    """W. The same."""
    ended = msgspec.structs.replace(going, ended_ns=vault.clock.now_ns())
    if _is_going(vault, going):
        ledger.record(vault, end_pass(ended))
    return ended


def last_ended_ns(vault: Vault) -> int:
    """0 where none did."""
    _, last = _passes(vault)
    return 0 if last is None else last.ended_ns


# Containers


def next_container(vault: Vault, going: ScrubPass) -> ContainerRow | None:
    """None at the end of the pass. What lay on a disk that was given up is passed over."""
    rows = _between(vault, going.next_container, going.last_container)
    return next((row for row in rows if not vault.store.disks.is_given_up(row.disk_id)), None)


def share_of(vault: Vault, size_bytes: int) -> float:
    """How much of a pass so many bytes are."""
    total = sum(row.acknowledged_length for row in vault.store.containers())
    return size_bytes / total if total else 1.0


def open_container(vault: Vault, number: int) -> tuple[ContainerRow | None, bytes | None]:
    """W. As it is now, for `read_container`; None where it is no more."""
    return vault.store.container_now(number)


def read_container(vault: Vault, row: ContainerRow, open_rows: bytes | None) -> Generator[Piece, None, None]:
    """FileNotFoundError where its file is gone. Whatever else it raises says nothing about the container."""
    with translated():
        yield from vault.store.scrub.run(row, open_rows)


def place_of(vault: Vault, row: ContainerRow) -> str:
    disk = vault.store.disks.find_id(row.disk_id)
    return f"container {row.number:012x}" if disk is None else str(container_path(disk.path, row.number))


def note(vault: Vault, piece: Piece) -> None:
    """W. What is damaged is missing from now on, and flagged; what reads well again is so no more."""
    with translated():
        for at in range(0, max(len(piece.lost), len(piece.well)), NOTED_AT_ONCE):
            part = slice(at, at + NOTED_AT_ONCE)
            vault.store.scrub.note(Piece(lost=piece.lost[part], well=piece.well[part]))
            ledger.write(vault)


def note_gone(vault: Vault, number: int) -> Literal["moved", "gone", "away"]:
    """W. Of one whose file was not found: the vault has it no more, or has lost it, or its disk is not here."""
    with translated():
        if vault.store.container_now(number)[0] is None:
            return "moved"
        return "gone" if vault.store.give_up_gone(number) else "away"


# Safesets


class _DamagedRecords:
    """Which records of one keyring nobody can be given."""

    def __init__(self, store: ChunkStore, keyring_id: bytes) -> None:
        self._store = store
        self._keyring_id = keyring_id

    def of(self, location: Location | None, id_: bytes) -> Collection[bytes]:
        if location is not None and not location.is_damaged:
            return ()
        return _DAMAGED if self._store.looks.lost(self._keyring_id, [id_]) == [True] else ()


def hit(vault: Vault, after: bytes) -> HitPage:
    """The safesets behind a place that are known to use damaged or lost records, each with how many."""
    with vault.catalog.read() as view:
        keys = [key for key, _ in islice(list_damaged(view, after), SAFESETS_AT_ONCE)]
        rows = [(key, read(view, "safesets", key, Safeset)) for key in keys]
    hits = []
    walk, walked = None, b""
    for key, safeset in rows:
        if safeset is None:
            continue
        if walk is None or key[:JOB_KEY_BYTES] != walked:
            walk = HitWalk(vault.store, _DamagedRecords(vault.store, safeset.keyring_id))
            walked = key[:JOB_KEY_BYTES]
        with translated():
            found = walk.run(safeset).get(_DAMAGED[0])
        if found:
            with vault.catalog.read() as view:
                hits.append(name_hit(view, key, safeset, found))
    return HitPage(hits, keys[-1] if len(keys) == SAFESETS_AT_ONCE else b"")


def _passes(vault: Vault) -> tuple[ScrubPass | None, ScrubPass | None]:
    with vault.catalog.read() as view:
        return read_pass(view), read_last_pass(view)


def _is_going(vault: Vault, going: ScrubPass) -> bool:
    held, _ = _passes(vault)
    return held is not None and held.number == going.number


def _new(vault: Vault, before: ScrubPass | None, *, is_asked: bool) -> ScrubPass:
    number = 1 if before is None else before.number + 1
    last = max((row.number for row in vault.store.containers()), default=0)
    return ScrubPass(number, vault.clock.now_ns(), is_asked, 1, last)


def _between(vault: Vault, first: int, last: int) -> list[ContainerRow]:
    return [row for row in vault.store.containers() if first <= row.number <= last]
