"""The journal: what the vault did, in order, on the first two disks alike; a chain of hashes that is only ever
appended to.

Invariants: an entry counts once it is synced on every copy that is here; entry and segment are synced before the next
one begins; a failed write or sync is never retried. `journal_recovery` makes the copies agree at opening. Threads: the
writer thread only.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from vaultd.store.disk_door import Door, Handle
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.journal.format import (
    SEGMENT_HEADER_BYTES,
    RawEntry,
    Segment,
    SegmentHeader,
    encode_entry,
    encode_segment_header,
    segment_name,
)
from vaultd.store.journal.recovery import Applied, recover_journal
from vaultd.store.position import START, Position
from vaultd.store.refusals import refusal


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
        self.found_ns: int | None = None  # what the vault's clock said at the last entry before this opening
        self._door = door
        self._settings = settings
        self._firsts: list[int] = []
        self._handles: list[Handle] = []
        self._segment_length = 0
        self._pending: list[tuple[bytes, Position]] = []
        self._end = START
        self._copies = JournalCopies(door, settings.directories, settings.vault_id)

    @classmethod
    def create(cls, door: Door, settings: JournalSettings) -> "Journal":
        journal = cls(door, settings)
        journal._begin_segment()
        return journal

    @classmethod
    def open(cls, door: Door, settings: JournalSettings, applied: Applied) -> "Journal":
        """What was applied must still be in it; the copies agree afterwards, `findings` says what was done for that."""
        journal = cls(door, settings)
        recovered = recover_journal(door, journal._copies, applied)
        journal.findings, journal._firsts = recovered.findings, recovered.firsts
        journal.position = journal._end = recovered.end
        journal._segment_length = recovered.segment_length
        journal.found_ns = recovered.last_entry_ns
        try:
            for path in journal._copies.paths(recovered.firsts[-1]):
                journal._handles.append(door.open_write(path))
        except OSError as error:
            journal.close()
            raise refusal("a copy of the journal cannot be gone on with", error) from error
        return journal

    def append(self, kind: int, payload: bytes) -> Position:
        """Gives the entry its number; it is not written before `sync`."""
        entry, self._end = encode_entry(kind, self._end, self._settings.now_ns(), payload)
        self._pending.append((entry, self._end))
        return self._end

    def sync(self) -> Position:
        """Writes what was appended to every copy; durable on all of them when this returns.

        An entry is durable before the next one is written: whole entries behind a torn one would look like damage of
        what was acknowledged, and where index and catalog are lost too nothing tells these apart.
        """
        while self._pending:
            entry, position = self._pending[0]
            if self._is_full(entry):
                self._begin_segment()
            self._write(entry)
            self.position = position
            del self._pending[0]
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

    def _is_full(self, entry: bytes) -> bool:
        """A segment takes at least one entry."""
        has_room = self._segment_length + len(entry) <= self._settings.segment_bytes
        return not has_room and self._segment_length > SEGMENT_HEADER_BYTES

    def _write(self, entry: bytes) -> None:
        for handle in self._handles:
            self._door.pwrite(handle, entry, self._segment_length)
        for handle in self._handles:
            self._door.fdatasync(handle)
        self._segment_length += len(entry)

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

    def _segments(self, number: int) -> Iterator[Segment]:
        """The segments that hold entry `number` and all after it."""
        wanted = [first for first in self._firsts if first > number]
        before = [first for first in self._firsts if first <= number]
        if not before:
            raise StoreError(
                f"the journal begins with entry {self._firsts[0]}, and entry {number} is wanted: "
                "bring the disk with the earlier segments back"
            )
        end: Position | None = None
        for first in before[-1:] + wanted:
            segment = self._copies.checked(self._copies.merge(first, end), first, end)
            yield segment
            end = segment.end
        if end is None or end.number < self.position.number:
            raise StoreError(f"the journal cannot be read up to entry {self.position.number}: every copy is damaged")
