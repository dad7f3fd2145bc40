"""The list of disks as checkpoint and journal have it, read before anything is opened for writing.

Where the catalog is lost, or older than the journal, a store that was opened without the list would take a disk that is
lost for one that is here, and give a new disk the number of one that is only away. Nothing is changed in here, and what
cannot be read is passed over: whoever opens the store refuses it.
"""

from collections.abc import Iterator
from contextlib import suppress

from vaultd.catalog.database import START, Catalog
from vaultd.catalog.disks import list_disks
from vaultd.catalog.rows import decode
from vaultd.operations.known_disks import known_disk
from vaultd.records import Change, DiskRow
from vaultd.store.disk_door import Door
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.disks.opening import find_copies
from vaultd.store.errors import StoreError
from vaultd.store.index.checkpoint import read_newest_checkpoint
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.store_settings import StoreSettings

TABLE = "disks"


def read_listed_disks(catalog: Catalog | None, settings: StoreSettings, door: Door) -> list[KnownDisk]:
    """`catalog` is None where there is none that can be read."""
    rows: dict[bytes, DiskRow] = {}
    number = START.number
    if catalog is not None:
        with catalog.read() as view:
            rows = {row.disk_id: row for row in list_disks(view)}
            number = view.position().number
    if number == START.number:
        number, changes = _of_checkpoint(settings, door)
        _take(rows, changes)
    for changes in _of_journal(settings, door, number):
        _take(rows, changes)
    return [known_disk(row) for row in rows.values()]


def _take(rows: dict[bytes, DiskRow], changes: list[Change]) -> None:
    for table, key, value in changes:
        if table == TABLE and value is not None:
            rows[key] = decode(table, key, value, DiskRow)
        elif table == TABLE:
            rows.pop(key, None)


def _of_checkpoint(settings: StoreSettings, door: Door) -> tuple[int, list[Change]]:
    """The newest one that is whole, and the number of the entry that it stands at."""
    directories = find_copies(door, settings.disk_paths, settings.vault_id, "checkpoints")
    found = read_newest_checkpoint(door, directories, settings.vault_id)
    if found is None:
        return START.number, []
    return found[0].number, [row for row in found[1] if row[0] == TABLE]


def _of_journal(settings: StoreSettings, door: Door, after: int) -> Iterator[list[Change]]:
    """The changes of each entry after a number, in their order; one segment is in memory at a time."""
    copies = JournalCopies(
        door, find_copies(door, settings.disk_paths, settings.vault_id, "journal"), settings.vault_id
    )
    firsts = copies.firsts()
    for first in [*[one for one in firsts if one <= after + 1][-1:], *[one for one in firsts if one > after + 1]]:
        with suppress(StoreError):
            segment = copies.merge(first)
            for entry in segment.entries if segment else []:
                if entry.position.number > after:
                    yield list(entry.decode().changes)
