"""The journal: what the vault did, in order, on the first two disks alike; a chain of hashes that is only ever
appended to.

Invariants: an entry counts once it is synced on every copy that is here; a segment is synced before the next one
begins; a failed write or sync is never retried. At opening the longest valid chain wins and the other copy is brought
up to it. Threads: the writer thread only.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from vaultd.store.disk_door import Door, Handle, make_directory, read_file, write_file
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal_format import (
    SEGMENT_HEADER_BYTES,
    START,
    Position,
    RawEntry,
    Segment,
    SegmentHeader,
    encode_entry,
    encode_segment_header,
    has_entry_after,
    merge_segment,
    segment_first,
    segment_name,
)


class JournalSettings(Struct, frozen=True):
    directories: Sequence[Path]
    vault_id: bytes
    segment_bytes: int
    now_ns: Callable[[], int]


class Journal:
    def __init__(self, door: Door, settings: JournalSettings) -> None:
        """Use `create` or `open`."""
        self.position = START
        self.findings: list[Finding] = []
        self._door = door
        self._settings = settings
        self._firsts: list[int] = []
        self._handles: list[Handle] = []
        self._segment_length = 0
        self._pending: list[tuple[bytes, Position]] = []
        self._end = START
        self._unsure: set[Path] = set()  # segments that could not be synced or read

    @classmethod
    def create(cls, door: Door, settings: JournalSettings) -> "Journal":
        journal = cls(door, settings)
        journal._begin_segment()
        return journal

    @classmethod
    def open(cls, door: Door, settings: JournalSettings, applied: Position | None) -> "Journal":
        """`applied` is what the index has applied: the journal must still hold it. None: the index is being rebuilt."""
        journal = cls(door, settings)
        journal._recover(applied)
        return journal

    def append(self, kind: int, payload: bytes) -> Position:
        """Gives the entry its number; it is not written before `sync`."""
        entry, self._end = encode_entry(kind, self._end, self._settings.now_ns(), payload)
        self._pending.append((entry, self._end))
        return self._end

    def sync(self) -> Position:
        """Writes what was appended to every copy; durable on all of them when this returns."""
        while self._pending:
            self._write(self._take_fitting())
            if self._pending:
                self._begin_segment()
        return self.position

    def read_from(self, number: int) -> Iterator[RawEntry]:
        """The durable entries from `number` on, each checked against the chain."""
        if number > self.position.number + 1:
            raise StoreError(
                f"the journal ends at entry {self.position.number}, before entry {number - 1} that was applied: "
                "a disk with a newer copy is missing"
            )
        for segment in self._segments(number):
            for entry in segment.entries:
                if number <= entry.position.number <= self.position.number:
                    yield entry

    def close(self) -> None:
        for handle in self._handles:
            self._door.close(handle)
        self._handles = []

    def _take_fitting(self) -> list[tuple[bytes, Position]]:
        """As many entries as the segment has room for, at least one in an empty segment; none if it is full."""
        length = self._segment_length
        taken = 0
        for entry, _ in self._pending:
            if length + len(entry) > self._settings.segment_bytes and length > SEGMENT_HEADER_BYTES:
                break
            length += len(entry)
            taken += 1
        fitting = self._pending[:taken]
        del self._pending[:taken]
        return fitting

    def _write(self, entries: list[tuple[bytes, Position]]) -> None:
        if not entries:
            return
        data = b"".join(entry for entry, _ in entries)
        for handle in self._handles:
            self._door.pwrite(handle, data, self._segment_length)
        for handle in self._handles:
            self._door.fdatasync(handle)
        self._segment_length += len(data)
        self.position = entries[-1][1]

    def _begin_segment(self) -> None:
        first = self.position.number + 1
        header = SegmentHeader(
            self._settings.vault_id, self.position.timeline, first, self.position.hash, self._settings.now_ns()
        )
        self.close()
        for directory in self._settings.directories:
            handle = self._door.open_new(directory / segment_name(first))
            self._handles.append(handle)
            self._door.pwrite(handle, encode_segment_header(header), 0)
            self._door.fdatasync(handle)
            self._door.fsync_directory(directory)
        self._segment_length = SEGMENT_HEADER_BYTES
        self._firsts.append(first)

    def _recover(self, applied: Position | None) -> None:
        for directory in self._settings.directories:
            make_directory(self._door, directory)
        self._firsts = list_segments(self._door, self._settings.directories)
        known = applied or START
        older = [first for first in self._firsts if first <= max(known.number, 1)]
        if not older:
            places = ", ".join(str(directory) for directory in self._settings.directories)
            raise StoreError(f"the journal with entry {max(known.number, 1)} is missing in {places}: bring it back")
        self._settle()
        for index, first in enumerate(older[:-1]):
            self._complete_older(first, self._firsts[index + 1])
        end = self._recover_from(self._firsts[len(older) - 1 :], applied)
        self.position = self._end = end
        self._handles = [self._door.open_write(path) for path in self._paths(self._firsts[-1])]

    def _settle(self) -> None:
        """Makes what will be read durable first: a process may have died, or a sync failed, after the write.

        Then the cache is dropped, because after a failed sync it holds bytes that the disk never got.
        """
        for directory in self._settings.directories:
            paths = [directory / segment_name(first) for first in self._firsts]
            for path in [path for path in paths if self._door.exists(path)][-1:]:
                try:
                    handle = self._door.open_write(path)
                    try:
                        self._door.fdatasync(handle)
                        self._door.drop_cache(handle, 0, 0)
                    finally:
                        self._door.close(handle)
                    self._door.fsync_directory(directory)
                except OSError:
                    self._unsure.add(path)  # made anew by `_mend`

    def _recover_from(self, firsts: list[int], applied: Position | None) -> Position:
        """Checks and mends these segments, the last ones; the position after the last entry."""
        end: Position | None = None
        for first in firsts:
            is_last = first == firsts[-1]
            copies = self._read_copies(first)
            segment = merge_segment(copies, self._paths(first)[0])
            if segment is None and is_last and end and not _is_needed(first, copies, applied):
                self._drop_unborn(first)
                return end
            segment = self._checked(segment, first, end)
            if applied:
                _check_applied(segment, applied, is_last=is_last, path=self._paths(first)[0])
            elif is_last and has_entry_after(copies, len(segment.data)):
                raise StoreError(
                    f"{self._paths(first)[0]} is damaged at offset {len(segment.data)} in every copy, with good "
                    "entries behind: the index cannot be rebuilt from it; restore the journal from another copy first"
                )
            self._mend(first, segment)
            self._segment_length = len(segment.data)
            end = segment.end
        assert end is not None
        return end

    def _segments(self, number: int) -> Iterator[Segment]:
        """The segments that hold entry `number` and all after it."""
        wanted = [first for first in self._firsts if first > number]
        before = [first for first in self._firsts if first <= number]
        end: Position | None = None
        for first in before[-1:] + wanted:
            segment = self._checked(merge_segment(self._read_copies(first), self._paths(first)[0]), first, end)
            yield segment
            end = segment.end
        if end is None or end.number < self.position.number:
            raise StoreError(f"the journal cannot be read up to entry {self.position.number}: every copy is damaged")

    def _checked(self, segment: Segment | None, first: int, before: Position | None) -> Segment:
        """A segment that is whole in itself must also follow the one before it."""
        path = self._paths(first)[0]
        if segment is None:
            raise StoreError(f"{path} is damaged: no copy has a good header; restore it from another copy")
        if segment.header.vault_id != self._settings.vault_id:
            raise StoreError(f"{path} belongs to vault {segment.header.vault_id.hex()}")
        if before and (first, segment.header.previous) != (before.number + 1, before.hash):
            raise StoreError(
                f"the journal is damaged in every copy before {path}: entry {before.number} is the last good one "
                "there; restore the segment before from another copy"
            )
        return segment

    def _complete_older(self, first: int, following: int) -> None:
        """A segment that the index has long applied: only a missing or shortened copy is noticed here."""
        paths = self._paths(first)
        sizes = {self._door.size(path) if self._door.exists(path) else -1 for path in paths}
        if len(sizes) == 1:
            return
        segment = merge_segment(self._read_copies(first), paths[0])
        if segment is None or segment.end.number + 1 != following:
            sentence = "a segment of the journal is damaged in every copy; what it says was applied long ago"
            self.findings.append(Finding(Severity.damage, str(paths[0]), sentence))
            return
        self._mend(first, segment)

    def _mend(self, first: int, segment: Segment) -> None:
        """Makes every copy equal to the longest valid chain."""
        for path in self._paths(first):
            data = self._read(path) if self._door.exists(path) else b""
            if data == segment.data and path not in self._unsure:
                continue
            length = len(segment.data)
            if path in self._unsure:
                sentence = "this copy of the journal could not be synced or read and was made anew"
                write_file(self._door, path, segment.data)
            elif data[:length] == segment.data:
                sentence = f"{len(data) - length} bytes of an entry that was never acknowledged were cut"
                self._truncate(path, length)
            else:
                sentence = "this copy of the journal was missing, shorter or damaged and was made anew"
                write_file(self._door, path, segment.data)
            self.findings.append(Finding(Severity.warning, str(path), sentence))

    def _truncate(self, path: Path, length: int) -> None:
        handle = self._door.open_write(path)
        try:
            self._door.truncate(handle, length)
            self._door.fdatasync(handle)
        finally:
            self._door.close(handle)

    def _drop_unborn(self, first: int) -> None:
        """A crash left a segment without a header: it cannot hold an entry."""
        for path in self._paths(first):
            if self._door.exists(path):
                self._door.unlink(path)
                self._door.fsync_directory(path.parent)
        self._firsts.remove(first)

    def _read_copies(self, first: int) -> list[bytes]:
        return [self._read(path) for path in self._paths(first) if self._door.exists(path)]

    def _read(self, path: Path) -> bytes:
        """A copy that the disk refuses to read is a damaged copy."""
        try:
            return read_file(self._door, path)
        except OSError:
            self._unsure.add(path)
            return b""

    def _paths(self, first: int) -> list[Path]:
        return [directory / segment_name(first) for directory in self._settings.directories]


def list_segments(door: Door, directories: Sequence[Path]) -> list[int]:
    """The numbers of the segments that are in any of the directories, ascending."""
    names = {name for directory in directories if door.exists(directory) for name in door.listdir(directory)}
    return sorted(first for first in map(segment_first, names) if first is not None)


def _is_needed(first: int, copies: list[bytes], applied: Position | None) -> bool:
    if applied is None:
        return has_entry_after(copies, 0)
    return applied.number >= first


def _check_applied(segment: Segment, applied: Position, *, is_last: bool, path: Path) -> None:
    """The entry that the index applied last must be here, and be the same one."""
    if is_last and segment.end.number < applied.number:
        raise StoreError(
            f"{path} ends at entry {segment.end.number}, but entry {applied.number} was acknowledged: "
            "the journal is damaged, or a disk with its newer copy is missing"
        )
    first = segment.header.first
    if not first - 1 <= applied.number <= segment.end.number:
        return
    if applied.number == first - 1:
        held = segment.header.previous
    else:
        held = segment.entries[applied.number - first].position.hash
    if held != applied.hash:
        raise StoreError(
            f"{path}: entry {applied.number} is not the one that the index has applied: "
            "index and journal are of different histories; move the index away to have it rebuilt"
        )
