"""Reads one container from the disk, not from the cache, and says what of it is not what was acknowledged.

A sealed container is held against its directory, one that goes on against the rows that will be its directory: each
record is hashed as it lies in the buffer. Any other, also one whose directory is damaged, is held against the groups
of the journal. Nothing counts as damage before it was read a second time. Memory: one buffer, and the directory of one
container. Threads: `run` in any, one container at a time; `note` in the writer thread.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from blake3 import blake3
from msgspec import Struct

from vaultd.store.container_readers import ContainerReaders
from vaultd.store.containers.format import BLOCK_BYTES, DirectoryRow, container_path, decode_rows
from vaultd.store.containers.parts import Part, parts_of
from vaultd.store.containers.reader import check_directory_padding, read_directory, read_header, read_trailer
from vaultd.store.damage_notes import DamageNotes
from vaultd.store.disk_door import Door, Handle
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import DiskMissing, FormatError, RecordDamaged, RecordUnread
from vaultd.store.index.acknowledged import EntriesAfter, Group, read_groups
from vaultd.store.index.group_scan import Loss, scan_group
from vaultd.store.index.index import Index
from vaultd.store.index.record_row import CID_PREFIX_BYTES
from vaultd.store.index_rows import ContainerRow, IndexRecord, Location
from vaultd.store.uncached_door import PIECE_BYTES, UncachedDoor

_ROWS_AT_ONCE = 10_000
_NOTHING = memoryview(b"")

T = TypeVar("T")


class Piece(Struct):
    """What one step has read and found. `lost`: ids of damaged records, each with the row of the index that leads to
    it; `unused`: how many damaged ones have none; `places`: how many damaged places are no record. `well`: records that
    are flagged and read well. `damages` are in words, as are `alarms`: what was read wrongly once and well again.
    """

    size_bytes: int = 0
    records: int = 0
    lost: list[tuple[bytes, Location]] = []
    unused: int = 0
    places: int = 0
    well: list[tuple[IndexRecord, Location]] = []
    damages: list[str] = []
    alarms: list[str] = []


class ScrubParts(Struct, frozen=True):
    door: Door
    disks: Disks
    index: Index
    notes: DamageNotes
    readers: ContainerReaders


class Scrub:
    def __init__(self, parts: ScrubParts, vault_id: bytes, entries_after: EntriesAfter) -> None:
        self._door = parts.door
        self._disks = parts.disks
        self._index = parts.index
        self._notes = parts.notes
        self._readers = parts.readers
        self._vault_id = vault_id
        self._entries_after = entries_after
        self._uncached: UncachedDoor | None = None

    def run(self, row: ContainerRow, open_rows: bytes | None) -> Iterator[Piece]:
        """Up to its acknowledged length; `open_rows`: encoded directory rows of all records of one that goes on.

        FileNotFoundError where its file is gone; DiskMissing and RecordUnread say nothing about it.
        """
        disk = self._disks.find_id(row.disk_id)
        if disk is None:
            raise DiskMissing(f"container {row.number:012x} lies on disk {row.disk_id.hex()}, which is offline")
        self._uncached = self._uncached or UncachedDoor(self._door)
        path = container_path(disk.path, row.number)
        try:
            handle = self._uncached.open_read(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RecordUnread(f"{path} cannot be read: {error}") from error
        try:
            with self._readers.hold(row.number):
                yield from self._reading(row, path, handle).run(open_rows)
        finally:
            self._uncached.close(handle)

    def note(self, piece: Piece) -> None:
        """W. The next commit flags what is lost, and unsays what is well again."""
        for id_, location in piece.lost:
            self._notes.note_damage(id_, location)
        for record, location in piece.well:
            self._notes.note_well(record, location)

    def _reading(self, row: ContainerRow, path: Path, handle: Handle) -> "_Reading":
        assert self._uncached is not None

        def groups() -> list[Group]:
            return read_groups(self._entries_after(row.first_entry - 1), row.number, row.acknowledged_length)

        def is_here() -> bool:
            return self._disks.is_here(self._door, row.disk_id)

        return _Reading(row, path, handle, self._uncached, self._index, self._vault_id, groups, is_here)


class _Reading:
    """Of one container."""

    def __init__(
        self, row: ContainerRow, path: Path, handle: Handle, door: UncachedDoor, index: Index, vault_id: bytes,
        groups: Callable[[], list[Group]], is_here: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._row = row
        self._path = path
        self._handle = handle
        self._door = door
        self._index = index
        self._vault_id = vault_id
        self._groups = groups
        self._is_here = is_here
        self._piece = Piece()
        self._is_refused = False  # the last piece, by the disk

    def run(self, open_rows: bytes | None) -> Iterator[Piece]:
        self._check_header()
        parts, end = self._parts(open_rows)
        if parts is None:
            yield from self._read_groups()
        else:
            yield from self._read_parts(parts, end)

    def _taken(self) -> Piece:
        taken, self._piece = self._piece, Piece()
        return taken

    # What leads to the records

    def _check_header(self) -> None:
        header = self._twice(lambda: read_header(self._door, self._path))
        self._piece.size_bytes += BLOCK_BYTES
        if header is not None and (header.number, header.vault_id) != (self._row.number, self._vault_id):
            self._note_place(f"its header names container {header.number:012x} of another place")

    def _parts(self, open_rows: bytes | None) -> tuple[list[Part] | None, int]:
        """None where only the journal knows what lies here; and where the records end."""
        length = self._row.acknowledged_length
        if self._row.is_sealed:
            found = self._twice(lambda: self._directory(length))
            self._piece.size_bytes += length - found[1] if found else 0
        else:
            found = None if open_rows is None else (decode_rows(open_rows), length)
        if found is None:
            return None, length
        rows, end = found
        parts = self._twice(lambda: list(parts_of(rows, end)))
        return parts, end

    def _directory(self, length: int) -> tuple[list[DirectoryRow], int]:
        rows = read_directory(self._door, self._path, length)
        check_directory_padding(self._door, self._path, length)
        return rows, read_trailer(self._door, self._path, length).directory_offset

    def _twice(self, read: Callable[[], T]) -> T | None:
        """None where it is damaged, which is noted."""
        try:
            return read()
        except (FormatError, OSError) as error:
            self._require_here(error)
            first = str(error)
        try:
            found = read()
        except (FormatError, OSError) as error:
            self._require_here(error)
            self._note_place(str(error))
            return None
        self._piece.alarms.append(first)
        return found

    # Records by their rows

    def _read_parts(self, parts: Sequence[Part], end: int) -> Iterator[Piece]:
        """What lies in two pieces is hashed in two steps."""
        at, hashed, is_whole = 0, blake3(), True
        for start in range(BLOCK_BYTES, end, PIECE_BYTES):
            stop = min(start + PIECE_BYTES, end)
            view = self._view(start, stop - start)
            self._piece.size_bytes += len(view)
            begun, doubted = at, []
            while at < len(parts) and parts[at].start < stop:
                part = parts[at]
                low, high = max(part.start - start, 0), min(part.end, stop) - start
                is_whole = is_whole and high <= len(view)
                if part.start >= start and part.end <= stop:
                    digest = blake3(view[low:high]).digest()
                else:
                    hashed.update(view[low:high])
                    if part.end > stop:
                        break
                    digest, hashed = hashed.digest(), blake3()
                if digest != part.cid or not is_whole:
                    doubted.append(part)
                is_whole = True
                at += 1
            self._settle(parts[begun:at], doubted)
            yield self._taken()

    def _view(self, offset: int, length: int) -> memoryview:
        """Nothing where the disk refuses it: then each part is read for itself."""
        self._is_refused = False
        try:
            return self._door.view(self._handle, offset, length)
        except OSError as error:
            self._require_here(error)
            self._is_refused = True
            return _NOTHING

    def _settle(self, parts: Sequence[Part], doubted: Sequence[Part]) -> None:
        if self._is_refused:
            doubted = [part for part in doubted if self._fault_of(part)]
            if parts and not doubted:
                self._piece.alarms.append("the disk refused bytes that it gave a moment later, part by part")
        for part in doubted:
            self._look_again(part)
        rows = [part.row for part in parts if part.row is not None]
        self._piece.records += len(rows)
        lost = {id_ for id_, _ in self._piece.lost}
        self._find_well([row for row in rows if row.id not in lost])

    def _look_again(self, part: Part) -> None:
        """From the disk, for the second time."""
        what = f"record {part.row.id.hex()}" if part.row else "the padding"
        where = f"{what} at offset {part.start}, {part.end - part.start} bytes"
        fault = self._fault_of(part)
        if not fault:
            self._piece.alarms.append(f"{where}, was read wrongly once and well the second time")
        elif part.row is None:
            self._note_place(f"{where}, {fault}")
        elif location := self._leading(part.row):
            self._piece.lost.append((part.row.id, location))
            self._piece.damages.append(f"{where}, {fault}")
        else:
            self._piece.unused += 1
            self._piece.damages.append(f"{where}, {fault}; nothing uses it any more")

    def _fault_of(self, part: Part) -> str:
        """Empty where the disk gives what was stored."""
        length = part.end - part.start
        try:
            view = self._door.view(self._handle, part.start, length)
        except OSError as error:
            self._require_here(error)
            return f"cannot be read: {error}"
        if len(view) < length:
            return "is cut off: the file ends before it"
        return "" if blake3(view).digest() == part.cid else "does not hold its cid"

    def _leading(self, row: DirectoryRow) -> Location | None:
        """The row of the index, where it leads to this record."""
        try:
            (location,) = self._index.lookup(row.keyring_id, [row.id])
        except RecordDamaged:
            return None
        leads_here = location and (location.container, location.offset) == (self._row.number, row.offset)
        return location if leads_here else None

    def _find_well(self, rows: Sequence[DirectoryRow]) -> None:
        """Those that are flagged in the index. What lies under a run key that was given up stays as it is."""
        by_keyring: dict[bytes, dict[bytes, DirectoryRow]] = {}
        for row in rows:
            by_keyring.setdefault(row.keyring_id, {})[row.id] = row
        for keyring_id, by_id in by_keyring.items():
            flagged = [by_id[id_] for id_, is_whole in self._index.held(keyring_id, by_id).items() if not is_whole]
            for row in flagged:
                location = self._leading(row)
                if location is not None and not self._index.is_key_given_up(keyring_id, row.key_id):
                    self._piece.well.append((_record(self._row.number, row), location))

    # Records by the journal

    def _read_groups(self) -> Iterator[Piece]:
        yield self._taken()
        lost: set[bytes] = set()
        for group in self._groups():
            missing, sentences, records = self._look_at(group)
            if sentences:
                first, (missing, sentences, records) = sentences, self._look_at(group)
                self._piece.alarms += first if not sentences else []
            self._piece.size_bytes += group.end - group.start
            self._piece.records += records + len(missing)
            self._piece.damages += sentences
            self._piece.places += bool(sentences) and not missing
            lost |= {name[:CID_PREFIX_BYTES] for name in missing}
            yield self._taken()
        if lost:
            yield from self._find_lost(lost)

    def _look_at(self, group: Group) -> tuple[set[bytes], list[str], int]:
        """The cids that are missing, what is wrong in words, and how many records are whole."""
        missing, sentences = set(group.names()), []
        records = 0
        try:
            for item in scan_group(self._door, self._path, group):
                if isinstance(item, Loss):
                    sentences.append(item.sentence)
                else:
                    missing.discard(item.cid)
                    records += 1
        except OSError as error:
            self._require_here(error)
            sentences.append(f"bytes from {group.start} to {group.end} cannot be read: {error}")
        if sentences and not self._is_here():
            raise DiskMissing(f"{self._path} cannot be read: its disk went away")
        return missing, sentences, records

    def _find_lost(self, lost: set[bytes]) -> Iterator[Piece]:
        """Where a header is damaged only the index still knows the id: it is read through."""
        self._piece.unused = len(lost)
        for number, row in enumerate(self._index.rows(), 1):
            location = row.location
            if location and location.container == self._row.number and location.cid_prefix in lost:
                self._piece.lost.append((row.id, location))
                self._piece.unused -= 1
            if number % _ROWS_AT_ONCE == 0:
                unused, self._piece.unused = self._piece.unused, 0
                yield self._taken()
                self._piece.unused = unused
        yield self._taken()

    def _note_place(self, sentence: str) -> None:
        self._piece.places += 1
        self._piece.damages.append(sentence)

    def _require_here(self, error: Exception) -> None:
        """What a disk says that went away, or the system for want of descriptors, is no damage."""
        if not isinstance(error, OSError) or (error.errno == errno.EIO and self._is_here()):
            return
        if isinstance(error, FileNotFoundError):
            raise error
        if not self._is_here():
            raise DiskMissing(f"{self._path} cannot be read: {error}: its disk went away") from error
        raise RecordUnread(f"{self._path} cannot be read: {error}") from error


def _record(number: int, row: DirectoryRow) -> IndexRecord:
    return IndexRecord(row.keyring_id, row.id, row.key_id, number, row.offset, row.length, row.type, row.cid)
