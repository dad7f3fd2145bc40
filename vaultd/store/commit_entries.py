"""What a commit of the store says in the journal, before the entries of its caller."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from vaultd.store.containers.open_containers import Touched
from vaultd.store.index_rows import ContainerRow, Dropped, IndexRecord
from vaultd.store.journal.dropped import pack_dropped
from vaultd.store.journal.format import EntryKind, JournalEntry

_GROUP_CIDS_BYTES_MAX = 8 * 1024 * 1024  # as many as one container can have; an entry holds twice that


class Removal(Struct, frozen=True):
    """What a commit takes out of the store: records, and containers of which all that is needed lies in others."""

    dropped: Sequence[Dropped] = ()
    moved: Sequence[ContainerRow] = ()


NOTHING_REMOVED = Removal()


def container_entries(touched: Sequence[Touched]) -> Iterator[JournalEntry]:
    """Seals come first: where a torn journal ends between the two, a directory vouches instead of the group."""
    for item in touched:
        if item.is_sealed:
            details = {"number": item.number, "disk": item.disk_id, "length": item.length}
            yield JournalEntry(EntryKind.container_sealed, details)
    rows: list[list[Any]] = []
    size = 0
    for item in touched:
        if rows and size + len(item.cids) > _GROUP_CIDS_BYTES_MAX:
            yield JournalEntry(EntryKind.group, {"containers": rows})
            rows, size = [], 0
        rows.append([item.number, item.disk_id, item.length, item.cids])
        size += len(item.cids)
    if rows:
        yield JournalEntry(EntryKind.group, {"containers": rows})


def supersede_entry(row: IndexRecord) -> JournalEntry:
    details = {"keyring": row.keyring_id, "id": row.id, "container": row.container, "offset": row.offset}
    return JournalEntry(EntryKind.supersede, details)


def removal_entries(removal: Removal) -> Iterator[JournalEntry]:
    for keyring_id, dropped in groupby(removal.dropped, key=lambda one: one.keyring_id):
        yield JournalEntry(EntryKind.drop, {"keyring": keyring_id, "records": pack_dropped(dropped)})
    for row in removal.moved:
        yield JournalEntry(EntryKind.container_moved, {"number": row.number, "disk": row.disk_id})
