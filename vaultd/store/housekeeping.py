"""Records that nobody needs go; what is left of a container moves to another one, so that its file can go.

Invariants: a record is dropped only in a call of the write thread that asked who needs it, and counts as missing from
before it asks: so whoever says that he may need it, and looks it up after that, is either heard here or finds it
missing. A moved record is durable at its new place before the index leads there; a container goes only when nothing
leads into it, and its file after its last reader let go. Containers that take records, and the newest one, stay: no
number comes twice. Threads: `drop`, `move`, `retire` and `forget_files` in the writer thread, the rest in any.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from msgspec import Struct

from vaultd.store.commit_entries import Removal
from vaultd.store.container_readers import ContainerReaders
from vaultd.store.containers.format import DirectoryRow, container_path
from vaultd.store.containers.moved_files import remove_moved
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.containers.reader import read_directory
from vaultd.store.damage_notes import Name
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.identity import Disk
from vaultd.store.errors import FormatError, RecordDamaged, StoreError
from vaultd.store.index.index import Index
from vaultd.store.index.record_row import decode_row
from vaultd.store.index.stored_rows import StoredRow
from vaultd.store.index_rows import KEY_ID_AT, ContainerRow, Dropped, Location
from vaultd.store.journal.format import JournalEntry
from vaultd.store.journal.kept import is_forked
from vaultd.store.pending_records import PendingRecords
from vaultd.store.record_format import cid, parse_record
from vaultd.store.recovery.leftovers import has_kept

AreNeeded = Callable[[Sequence[bytes]], Sequence[bool]]


class HouseParts(Struct, frozen=True):
    door: Door
    disks: Disks
    index: Index
    readers: ContainerReaders
    pending: PendingRecords


class Store(Protocol):
    def containers(self) -> list[ContainerRow]: ...

    def read(self, location: Location, expected_id: bytes) -> bytes: ...

    def append_moved(self, disk: Disk, records: Sequence[StoredRecord]) -> None: ...

    def commit(self, entries: Sequence[JournalEntry] = (), removal: Removal = ...) -> object: ...


class Place(Struct, frozen=True):
    """Where a record that is needed lies in the container that is looked at."""

    keyring_id: bytes
    id: bytes
    location: Location


class Copy(Struct, frozen=True):
    """A record that was read whole, and the offset where it lies."""

    record: StoredRecord
    offset: int


class Housekeeping:
    def __init__(self, parts: HouseParts, store: Store) -> None:
        self.dropping: frozenset[Name] = frozenset()
        self._is_dropping = threading.Lock()
        self._parts = parts
        self._store = store

    def held_by(self) -> str:
        """Why nothing may be dropped or moved now, empty where it may be: what is away, or kept beside, may need it."""
        parts = self._parts
        if away := self.away():
            return away
        if is_forked(parts.door, parts.disks.copy_directories("journal")) or has_kept(parts.door, parts.disks):
            return "a start kept something beside journal or containers: look at it, then move it away"
        return ""

    def away(self) -> str:
        """The part of `held_by` that may change between two starts, and reads no directory."""
        disks = self._parts.disks
        return f"a disk is offline ({', '.join(disks.paths_away)})" if disks.is_any_away else ""

    def drop(self, keyring_id: bytes, rows: Sequence[StoredRow], newest: int, are_needed: AreNeeded) -> list[Location]:
        """W. Of these rows of the keyring those that nobody needs and that lie in containers up to `newest`: where they
        lay. A row that is damaged stays.
        """
        wanted = _whole(rows, newest)
        with self._is_dropping:
            self.dropping = frozenset((place.keyring_number, id_) for id_, place in wanted)
            try:
                going = _not_needed(wanted, are_needed)
                dropped = [Dropped(keyring_id, id_, place.container, place.offset) for id_, place in going]
                if dropped:
                    self._store.commit(removal=Removal(dropped=dropped))
            finally:
                self.dropping = frozenset()
        return [place for _, place in going]

    def await_drop(self) -> None:
        """The end of the call of `drop` that goes on, if one does. Whatever its caller said before that he may need is
        dropped by no later one.
        """
        with self._is_dropping:
            pass

    def droppable(self, rows: Sequence[StoredRow], newest: int, are_needed: AreNeeded) -> list[Location]:
        """What `drop` would drop now."""
        return [place for _, place in _not_needed(_whole(rows, newest), are_needed)]

    def key_numbers(self, key_ids: Sequence[bytes]) -> list[int | None]:
        """As rows name them; None where nothing was ever stored under one."""
        return [self._parts.index.keys.of(key_id) for key_id in key_ids]

    def rows(self, keyring_id: bytes) -> Iterator[list[StoredRow]]:
        """The keyring's rows, batch by batch."""
        number = self._parts.index.keyring_number(keyring_id)
        return iter(()) if number is None else self._parts.index.stored.of_keyring(number)

    def has_row(self, keyring_id: bytes, id_begin: bytes) -> bool:
        """Whether an id of the keyring begins so."""
        number = self._parts.index.keyring_number(keyring_id)
        return number is not None and self._parts.index.stored.has(number, id_begin)

    def record_count(self) -> int:
        return self._parts.index.record_count()

    def keyring_ids(self) -> list[bytes]:
        """All that have a record, or had one."""
        return self._parts.index.keyrings.all_ids()

    def can_move(self) -> dict[int, ContainerRow]:
        """By number, those that take no records any more and are indexed, on disks that are here; not the newest."""
        rows = self._store.containers()[:-1]
        here = {disk.disk_id for disk in self._parts.disks.writable}
        whole = (row for row in rows if row.is_sealed and row.indexed_length == row.acknowledged_length)
        return {row.number: row for row in whole if row.disk_id in here}

    def needed_of(self, row: ContainerRow, doubted: Collection[bytes] = ()) -> list[Place] | None:
        """What the index has in a sealed container, in the order of the file; None where that cannot be told. The index
        may lack rows of the keyrings in `doubted`: what has none in there may be needed.
        """
        disk = self._parts.disks.find_id(row.disk_id)
        if disk is None:
            return None
        with self._parts.readers.hold(row.number):
            try:
                path = container_path(disk.path, row.number)
                directory = read_directory(self._parts.door, path, row.acknowledged_length)
                return list(self._lead_into(row.number, directory, doubted))
            except (FormatError, RecordDamaged, OSError):
                return None

    def copies(self, places: Sequence[Place]) -> list[Copy] | None:
        """Read whole, each held against its cid; None where one is damaged or cannot be read: what is damaged is never
        copied, and its container stays.
        """
        found = []
        for place in places:
            try:
                record = self._store.read(place.location, place.id)
            except (StoreError, OSError):
                return None
            found.append(Copy(StoredRecord(parse_record(record), cid(record), record), place.location.offset))
        return found

    def move(self, row: ContainerRow, copies: Sequence[Copy]) -> int:
        """W. Those that still lie there are durable in another container of the disk, and the index leads to that.
        Returns their bytes.
        """
        disk = self._parts.disks.find_id(row.disk_id)
        if disk is None:
            return 0
        records = [copy.record for copy in copies if self._lies_there(copy, row.number)]
        if records:
            self._store.append_moved(disk, records)
            self._store.commit()
        return sum(len(record.view) for record in records)

    def retire(self, row: ContainerRow) -> None:
        """W. Nothing leads into it, which stays so: no record ever comes to lie in a sealed container."""
        if row.number not in self.can_move():
            raise StoreError(f"container {row.number:012x} is not one that can go")
        self._store.commit(removal=Removal(moved=[row]))

    def remove_files(self) -> list[int]:
        """The numbers of containers whose files are durably gone, for `forget_files`. One that is still read stays for
        a later time.
        """
        known = {row.number for row in self._store.containers()}
        moved = self._parts.index.plans.moved()
        free = {
            number: disk_id
            for number, disk_id in moved.items()
            if number not in known and not self._parts.readers.is_held(number)
        }
        return remove_moved(self._parts.door, self._parts.disks, free)

    def forget_files(self, numbers: Sequence[int]) -> None:
        """W."""
        self._parts.index.plans.forget_moved(numbers)

    def plan(self, numbers: Sequence[int]) -> None:
        """W. These are to be moved, also by the next start."""
        self._parts.index.plans.plan(numbers)

    def planned(self) -> list[int]:
        return self._parts.index.plans.planned()

    def forget_planned(self, numbers: Sequence[int]) -> None:
        """W. They stay."""
        self._parts.index.plans.forget_planned(numbers)

    def _lead_into(
        self, number: int, directory: Sequence[DirectoryRow], doubted: Collection[bytes]
    ) -> Iterator[Place]:
        ids_by_offset = {row.offset: row.id for row in directory}
        found = []
        ordered = sorted(directory, key=lambda row: row.keyring_id)
        for keyring_id, rows in groupby(ordered, key=lambda row: row.keyring_id):
            is_doubted = keyring_id in doubted or self._parts.index.keyring_number(keyring_id) is None
            ids = list(dict.fromkeys(row.id for row in rows))
            for id_, location in zip(ids, self._parts.index.lookup(keyring_id, ids), strict=True):
                if location is None and is_doubted:
                    raise FormatError(f"the index may lack a row that leads into container {number:012x}")
                if location is None or location.container != number:
                    continue
                if ids_by_offset.get(location.offset) != id_:
                    raise FormatError(f"the index leads to another place than the directory of container {number:012x}")
                found.append(Place(keyring_id, id_, location))
        yield from sorted(found, key=lambda place: place.location.offset)

    def _lies_there(self, copy: Copy, number: int) -> bool:
        header = copy.record.header
        if (header.keyring_id, header.id) in self._parts.pending.rows:
            return False
        try:
            (location,) = self._parts.index.lookup(header.keyring_id, [header.id])
        except RecordDamaged:
            return False
        return location is not None and (location.container, location.offset) == (number, copy.offset)


def _whole(rows: Sequence[StoredRow], newest: int) -> list[tuple[bytes, Location]]:
    """Ids and places of those rows that are whole and lead into containers up to `newest`."""
    found = ((key[KEY_ID_AT:], decode_row(key, value)) for key, value in rows)
    return [(id_, place) for id_, place in found if place is not None and place.container <= newest]


def _not_needed(wanted: Sequence[tuple[bytes, Location]], are_needed: AreNeeded) -> list[tuple[bytes, Location]]:
    needed = are_needed([id_ for id_, _ in wanted])
    return [one for one, is_needed in zip(wanted, needed, strict=True) if not is_needed]
