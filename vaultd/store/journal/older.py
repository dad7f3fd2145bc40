"""The segments of the journal that the index has long applied: each copy is completed from the other.

Threads: the writer thread only.
"""

import random
from pathlib import Path

from vaultd.store.disk_door import Door, write_file
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.journal.format import HASH_BYTES, SEGMENT_HEADER_BYTES, Segment, decode_segment_header
from vaultd.store.journal.mending import JournalMending

# Segments whose copies are compared byte by byte at a start; others at another one.
_NEWEST_COMPARED = 4
_OTHERS_COMPARED = 2


class OlderSegments:
    def __init__(self, door: Door, copies: JournalCopies, firsts: list[int], mending: JournalMending) -> None:
        self._door = door
        self._copies = copies
        self._firsts = firsts
        self._mending = mending

    def complete(self, start: int) -> None:
        """Of those before `start`: a copy that is missing, shortened, forked or, of those that are compared whole this
        time, damaged anywhere is mended from the other.
        """
        older = [first for first in reversed(self._firsts) if first < start]
        others = older[_NEWEST_COMPARED:]
        compared = {*older[:_NEWEST_COMPARED], *random.sample(others, min(_OTHERS_COMPARED, len(others)))}
        following = start
        skipped: list[int] = []  # between `following` and the segment before it: of another history, or damaged
        damaged: list[int] = []
        for first in older:
            looks_alike = self._copies.is_alike if first in compared else self._looks_alike
            if not skipped and looks_alike(first):
                following = first
                continue
            segment = self._before(first, following)
            if segment is not None:
                for forked in skipped:
                    self._mending.drop_forked(forked)
            elif skipped and (segment := self._before(first, skipped[-1])) is not None:
                damaged += skipped
            else:
                skipped.append(first)
                continue
            self._mending.mend(segment)
            following, skipped = first, []
        for first in damaged + skipped:
            self._copy_damaged(first)

    def _copy_damaged(self, first: int) -> None:
        """What still reads of it comes onto a new disk too."""
        paths = self._copies.paths(first)
        sentence = "a segment of the journal is damaged in every copy; what it says was applied long ago"
        self._mending.findings.append(Finding(Severity.damage, str(paths[0]), sentence))
        longest = max(map(self._copies.read, paths), key=len)
        for path in paths:
            if longest and not self._door.exists(path):
                write_file(self._door, path, longest)

    def _looks_alike(self, first: int) -> bool:
        return len(set(map(self._print, self._copies.paths(first)))) == 1

    def _print(self, path: Path) -> tuple[int, bytes]:
        """Size, header, and the last entry's hash, to which all before it leads: cheap, and different in a fork."""
        try:
            size = self._door.size(path)
            handle = self._door.open_read(path)
            try:
                head = self._door.read(handle, 0, SEGMENT_HEADER_BYTES)
                return size, head + self._door.read(handle, max(size - HASH_BYTES, 0), HASH_BYTES)
            finally:
                self._door.close(handle)
        except OSError:
            return -1, str(path).encode()

    def _before(self, first: int, following: int) -> Segment | None:
        """The segment `first`, where it ends right before the segment `following`, whose header may be damaged."""
        headers = [decode_segment_header(self._copies.read(path), path) for path in self._copies.paths(following)]
        wanted = {(following - 1, header.previous) for header in headers if header}
        for preferred in range(len(self._copies.directories)):
            segment = self._copies.merge(first, None, preferred)
            if segment is None or segment.end.number != following - 1:
                continue
            if not wanted or (segment.end.number, segment.end.hash) in wanted:
                return segment
        return None
