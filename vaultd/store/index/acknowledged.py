"""What the journal says about containers: how long each is, whether it is sealed, and which records it holds, group by
group.

Invariant: a container's row knows the first entry that may name it, so the groups of one container are read without
the journal before it. One container's cids are in memory at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from vaultd.store.containers.format import BLOCK_BYTES
from vaultd.store.errors import NewerFormat
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow
from vaultd.store.journal.format import EntryKind, RawEntry

CID_BYTES = 32
CONTAINER_FIELDS = 4  # of a row in a group entry

EntriesAfter = Callable[[int], Iterator[RawEntry]]


class Group(Struct, frozen=True):
    """What one group commit appended to one container: the bytes from `start` to `end`, and the cids in file order."""

    start: int
    end: int
    cids: bytes

    def names(self) -> list[bytes]:
        return [self.cids[at : at + CID_BYTES] for at in range(0, len(self.cids), CID_BYTES)]


def acknowledged_containers(index: Index, entries_after: EntriesAfter) -> dict[int, ContainerRow]:
    """The index's table, brought up to the end of the journal. `indexed_length` stays what the index has."""
    found = index.containers()
    position = index.position()
    for entry in entries_after(position.number if position else 0):
        acknowledge_entry(found, entry)
    return found


def acknowledge_entry(found: dict[int, ContainerRow], entry: RawEntry) -> None:
    """Takes what one journal entry says about containers; entries of other kinds are only checked."""
    details = entry.decode().details
    if entry.kind == EntryKind.group:
        for number, disk_id, length, _ in _containers_of(entry, details):
            row = found.get(number) or ContainerRow(number, disk_id, 0, 0, entry.position.number, False)
            found[number] = msgspec.structs.replace(row, acknowledged_length=length)
    elif entry.kind == EntryKind.container_sealed:
        number, length = details["number"], details["length"]
        row = found.get(number) or ContainerRow(number, details["disk"], 0, 0, entry.position.number, False)
        found[number] = msgspec.structs.replace(row, acknowledged_length=length, is_sealed=True)
    elif entry.kind == EntryKind.container_moved:
        found.pop(details["number"], None)


def read_groups(entries: Iterable[RawEntry], number: int, upto: int | None = None) -> list[Group]:
    """All groups of one container, in order; `entries` begin no later than its first. With `upto` those up to this
    length of it: no entry behind them is read.
    """
    groups: list[Group] = []
    end = BLOCK_BYTES
    for entry in entries:
        if entry.kind != EntryKind.group:
            continue
        for held, _, length, cids in _containers_of(entry, entry.decode().details):
            if held == number:
                groups.append(Group(end, length, cids))
                end = length
        if upto is not None and end >= upto:
            break
    return groups


def _containers_of(entry: RawEntry, details: dict[str, Any]) -> list[Any]:
    rows: list[Any] = details["containers"]
    for row in rows:
        if len(row) != CONTAINER_FIELDS:
            raise NewerFormat(f"journal entry {entry.position.number} with {len(row)} fields of a container")
    return rows
