"""The disks that the catalog names, as the store takes them, and how the catalog learns of them at a start."""

from collections.abc import Iterable

from vaultd.catalog.database import Catalog, Position, View
from vaultd.catalog.disks import list_disks, save_disk
from vaultd.records import Change, DiskRow
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.errors import NoSpace
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal.format import EntryKind, JournalEntry


def known_disk(row: DiskRow) -> KnownDisk:
    return KnownDisk(row.disk_id, row.number, row.is_lost, row.path)


def known_disks(view: View) -> list[KnownDisk]:
    return [known_disk(row) for row in list_disks(view)]


def changed_disks(view: View, known: Iterable[KnownDisk], now_ns: int) -> list[Change]:
    """What of the list the catalog does not say yet."""
    held = known_disks(view)
    rows = [DiskRow(one.disk_id, one.number, one.is_lost, one.path, now_ns) for one in known if one not in held]
    return [change for row in rows for change in save_disk(row)]


def keep_disks(store: ChunkStore, catalog: Catalog, now_ns: int) -> Finding | None:
    """W. Before the vault takes a record: then a disk that the catalog does not name holds nothing yet.

    What is to be said where there is no room for it: then there is none for records either.
    """
    with catalog.read() as view:
        changes = changed_disks(view, store.disks.known, now_ns)
    if not changes:
        return None
    try:
        position = store.commit([JournalEntry(EntryKind.catalog, {}, changes)])
    except NoSpace as error:
        if store.is_broken:  # in the middle of a write: only a recovery may write again
            raise
        sentence = f"the list of disks is not written: {error}; make room, the next start writes it"
        return Finding(Severity.warning, "catalog", sentence)
    catalog.apply(changes, Position(*position))
    return None
