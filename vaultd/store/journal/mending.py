"""Makes the copies of one segment of the journal equal to what was accepted, and takes away what is not part of it.

Invariant: a copy of another history or one that the disk refuses to read, and whole entries behind what is damaged, are
kept beside, never overwritten or removed; so is a torn tail where nothing vouches for the journal's end, because an
acknowledged entry with a wrong bit looks the same. Threads: the writer thread only.
"""

from pathlib import Path

from vaultd.store.disk_door import Door, write_file
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.journal.format import (
    SEGMENT_HEADER_BYTES,
    Segment,
    decode_segment_header,
    has_entry_after,
    segment_first,
)
from vaultd.store.journal.history import is_other_history
from vaultd.store.journal.kept import keep_forked, keep_tail, keep_unread, keep_whole
from vaultd.store.journal.tail import UNTOLD, severity_of


class JournalMending:
    def __init__(self, door: Door, copies: JournalCopies, firsts: list[int]) -> None:
        """`firsts` is the caller's list: what is dropped goes from it."""
        self.findings: list[Finding] = []
        self.is_end_vouched = False  # whether index or catalog says that nothing was acknowledged behind the last entry
        self._door = door
        self._copies = copies
        self._firsts = firsts

    def mend(self, segment: Segment) -> None:
        """Makes every copy equal to the segment; what the segment does not say is kept beside."""
        for path in self._copies.paths(segment.header.first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._keep_unread(path)
                write_file(self._door, path, segment.data)
                continue
            if data == segment.data and path not in self._copies.unsure:
                continue
            is_other = is_other_history(data, segment, path)
            kept = None if is_other else self._keep_behind(path, data, segment)
            severity = kept or Severity.warning
            if is_other:
                severity = Severity.damage
                name = keep_forked(self._door, path, data)
                sentence = f"this copy of the journal is of another history: it was kept as {name}"
                write_file(self._door, path, segment.data)
            elif path in self._copies.unsure:
                sentence = "this copy of the journal could not be synced and was made anew"
                write_file(self._door, path, segment.data)
            elif data[: len(segment.data)] == segment.data:
                what = f"behind entry {segment.end.number}" if kept else "of an entry that was never acknowledged"
                sentence = f"{len(data) - len(segment.data)} bytes {what} were cut"
                self._truncate(path, len(segment.data))
            else:
                what = self._copies.shortfall(path, data, segment)
                sentence = f"this copy of the journal {what}: it was made anew from the other one"
                write_file(self._door, path, segment.data)
            self.findings.append(Finding(severity, str(path), sentence))

    def _keep_behind(self, path: Path, data: bytes, segment: Segment) -> Severity | None:
        """Keeps what follows the segment and may have been acknowledged: whole entries behind a damaged one, because
        index and catalog may be older than they are, and anything where both are lost.
        """
        start = len(segment.data)
        severity = Severity.damage
        if has_entry_after([data], start, segment.end.number + 1):
            why = f"an entry at offset {start} is damaged, with good ones behind: what follows"
        elif len(data) > start and not self.is_end_vouched:
            why = f"what follows entry {segment.end.number} is no whole entry, and {UNTOLD}: it"
            severity = severity_of(data[start:])
        else:
            return None
        name = keep_tail(self._door, path, data, start)
        self.findings.append(Finding(severity, str(path), f"{why} was kept as {name}"))
        return severity

    def drop_forked(self, first: int) -> None:
        """A segment that only another history has; one without an entry says nothing."""
        if not has_entry_after([self._copies.read(path) for path in self._copies.paths(first)], 0):
            self.drop_unborn(first, 0)
            return
        for path in self._copies.paths(first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._keep_unread(path)
            elif self._door.exists(path):
                name = keep_forked(self._door, path, data)
                sentence = f"this segment of the journal is of another history: it was kept as {name}"
                self.findings.append(Finding(Severity.damage, str(path), sentence))
        self._firsts.remove(first)

    def _keep_unread(self, path: Path) -> None:
        name = keep_unread(self._door, path)
        sentence = f"the disk refuses to read this copy of the journal: it was kept as {name}"
        self.findings.append(Finding(Severity.warning, str(path), sentence))

    def _truncate(self, path: Path, length: int) -> None:
        handle = self._door.open_write(path)
        try:
            self._door.truncate(handle, length)
            self._door.fdatasync(handle)
        finally:
            self._door.close(handle)

    def drop_unborn(self, first: int, end_number: int) -> None:
        """A crash left a segment without an entry; one with an entry behind the end may have been acknowledged."""
        for path in self._copies.paths(first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._keep_unread(path)
            elif has_entry_after([data], 0, end_number + 1):
                name = keep_whole(self._door, path, data)
                sentence = f"its header is damaged, with good entries behind: it was kept as {name}"
                self.findings.append(Finding(Severity.damage, str(path), sentence))
            elif self._may_hold_entry(path, data):
                name = keep_whole(self._door, path, data)
                sentence = f"it holds no whole entry, and {UNTOLD}: it was kept as {name}"
                self.findings.append(Finding(severity_of(data[SEGMENT_HEADER_BYTES:]), str(path), sentence))
            elif self._door.exists(path):
                self._door.unlink(path)
                self._door.fsync_directory(path.parent)
        self._firsts.remove(first)

    def _may_hold_entry(self, path: Path, data: bytes) -> bool:
        """Of a segment without a whole one: its header is durable before the first is written behind it, and one that
        holds and names another first entry is what a power cut left of an older file.
        """
        if self.is_end_vouched or len(data) <= SEGMENT_HEADER_BYTES:
            return False
        header = decode_segment_header(data, path)
        return header is None or header.first == segment_first(path.name)
