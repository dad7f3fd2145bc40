"""Makes the copies of the journal agree when it is opened.

Invariants: what will be believed is synced first; the longest valid chain that holds what was applied wins; nothing is
changed before the whole chain was accepted; nothing that was applied is cut; a copy of another history or one that the
disk refuses to read, and whole entries behind a damaged one, are kept beside, never overwritten. A crash in here is
survived by running it again.
Threads: the writer thread only.
"""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from vaultd.store.disk_door import Door, make_directory, write_file
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal_copies import JournalCopies
from vaultd.store.journal_format import (
    HASH_BYTES,
    SEGMENT_HEADER_BYTES,
    START,
    Position,
    Segment,
    decode_segment_header,
    entries_anywhere,
    has_entry_after,
)
from vaultd.store.journal_kept import keep_forked, keep_tail, keep_unread

# Older segments whose copies are compared byte by byte at a start; others at another one.
_NEWEST_COMPARED = 4
_OTHERS_COMPARED = 2


class Applied(Struct, frozen=True):
    """What index and catalog have applied; `index` is None while the index is being rebuilt, `who` is the catalog."""

    index: Position | None
    catalog: Position = START
    who: str = "catalog"


class RecoveredJournal(Struct, frozen=True):
    findings: list[Finding]
    firsts: list[int]
    end: Position
    segment_length: int


class _Chain(Struct, frozen=True):
    """What is read when one copy is preferred wherever copies disagree."""

    preferred: int
    firsts: list[int]
    end: Position
    holds_index: bool
    holds_catalog: bool


def recover_journal(door: Door, copies: JournalCopies, applied: Applied) -> RecoveredJournal:
    try:
        return _Recovery(door, copies, applied).run()
    except OSError as error:
        sentence = "replace the disk or take it offline"
        raise StoreError(f"a copy of the journal cannot be mended: {error}; {sentence}") from error


class _Recovery:
    def __init__(self, door: Door, copies: JournalCopies, applied: Applied) -> None:
        self._door = door
        self._copies = copies
        self._applied = applied
        self._findings: list[Finding] = []
        self._firsts: list[int] = []
        self._segment_length = 0

    def run(self) -> RecoveredJournal:
        for directory in self._copies.directories:
            make_directory(self._door, directory)
        self._firsts = self._copies.firsts()
        known = max((self._applied.index or START).number, 1)
        older = [first for first in self._firsts if first <= known]
        if not older:
            places = ", ".join(str(directory) for directory in self._copies.directories)
            raise StoreError(f"the journal with entry {known} is missing in {places}: bring it back")
        self._settle()
        start, chains = self._choose_start(older)
        end = self._recover_from(start, chains)
        self._complete_older(start)
        return RecoveredJournal(self._findings, self._firsts, end, self._segment_length)

    def _settle(self) -> None:
        """Makes what will be read durable first: a process may have died, or a sync failed, after the write.

        Then the cache is dropped, because after a failed sync it holds bytes that the disk never got.
        """
        for number, directory in enumerate(self._copies.directories):
            paths = [self._copies.paths(first)[number] for first in self._firsts]
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
                    self._copies.unsure.add(path)  # made anew by `_mend`

    def _choose_start(self, older: list[int]) -> tuple[int, list[_Chain]]:
        """The segment with what the index applied; further back where only one copy has the one that should hold it."""
        for start in reversed(older):
            chains = self._chains([first for first in self._firsts if first >= start])
            if any(chain.holds_index for chain in chains):
                return start, chains
            if all(self._door.exists(path) for path in self._copies.paths(start)):
                break
        start = older[-1]
        return start, self._chains([first for first in self._firsts if first >= start])

    def _chains(self, firsts: list[int]) -> list[_Chain]:
        if all(self._is_alike(first) for first in firsts):
            return [_Chain(0, firsts, START, holds_index=True, holds_catalog=True)]  # nothing to choose from
        return [self._follow(firsts, preferred) for preferred in range(len(self._copies.directories))]

    def _is_alike(self, first: int) -> bool:
        copies = set(map(self._copies.read, self._copies.paths(first)))
        return len(copies) == 1 and copies != {b""}

    def _follow(self, firsts: list[int], preferred: int) -> _Chain:
        index, catalog = self._applied.index, self._applied.catalog
        followed: list[int] = []
        end: Position | None = None
        holds_index, holds_catalog = index is None, catalog.number < firsts[0]
        for first in firsts:
            if end and first != end.number + 1:
                continue
            segment = self._copies.merge(first, end, preferred)
            if segment is None or (end and segment.header.previous != end.hash):
                continue
            followed.append(first)
            holds_index = holds_index or (index is not None and _holds(segment, index))
            holds_catalog = holds_catalog or _holds(segment, catalog)
            end = segment.end
        return _Chain(preferred, followed, end or START, holds_index, holds_catalog)

    def _recover_from(self, start: int, chains: list[_Chain]) -> Position:
        """Checks and mends the last segments; the position after the last entry."""
        best = max(chains, key=lambda chain: (chain.holds_index, chain.holds_catalog, chain.end.number))
        others = {first for chain in chains for first in chain.firsts}.difference(best.firsts) | self._empty(best)
        firsts = [first for first in self._firsts if first >= start and first not in others]
        newest = max(self._checked(firsts, best), key=lambda segment: segment.header.first)  # one in memory at a time
        self._require_read(newest, {first for first in firsts if first >= newest.header.first} | others)
        for first in sorted(others):
            self._drop_forked(first)
        end: Position | None = None
        for segment in self._checked(firsts, best):
            self._mend(segment)
            self._segment_length = len(segment.data)
            end = segment.end
        assert end is not None
        for first in firsts:
            if first > end.number + 1 or (first == end.number + 1 and self._copies.merge(first, end) is None):
                self._drop_unborn(first)
        return end

    def _require_read(self, newest: Segment, firsts: Iterable[int]) -> None:
        """A copy that cannot be read may go on behind the others, unless index or catalog say that they end there."""
        catalog = self._applied.catalog
        is_vouched = self._applied.index is not None or (catalog != START and catalog.number == newest.end.number)
        for first in sorted(firsts):
            if not is_vouched or first > newest.end.number:
                self._copies.refuse_unread(first)

    def _empty(self, best: _Chain) -> set[int]:
        """Segments that a crash left without an entry; while their disk was away the chain went on past them."""
        passed = [first for first in self._firsts if best.firsts and best.firsts[0] <= first <= best.end.number]
        return {
            first
            for first in set(passed).difference(best.firsts)
            if not has_entry_after([self._copies.read(path) for path in self._copies.paths(first)], 0)
        }

    def _checked(self, firsts: list[int], best: _Chain) -> Iterator[Segment]:
        """One after the other, each following the one before it; the last may have been begun by a crash only."""
        end: Position | None = None
        for first in firsts:
            is_last = first == firsts[-1]
            segment = self._copies.merge(first, end, best.preferred)
            if segment is None and is_last and end and not self._is_needed(first, end):
                return
            segment = self._copies.checked(segment, first, end)
            self._check_applied(segment, is_last=is_last)
            yield segment
            end = segment.end

    def _check_applied(self, segment: Segment, *, is_last: bool) -> None:
        """What was applied must be here, and be the same; the catalog's own opening compares its hash."""
        index, catalog = self._applied.index, self._applied.catalog
        path = self._copies.paths(segment.header.first)[0]
        needed = max((index or START).number, catalog.number)
        if is_last and segment.end.number < needed:
            self._copies.refuse_unread(segment.header.first)
            who = "index" if index and index.number == needed else self._applied.who
            raise StoreError(
                f"{path} ends at entry {segment.end.number}, but entry {needed} was acknowledged "
                f"(the {who} has applied it): the journal is damaged, or a disk with its newer copy is missing"
            )
        if index and _reaches(segment, index) and not _holds(segment, index):
            raise StoreError(
                f"{path}: entry {index.number} is not the one that the index has applied: "
                "index and journal are of different histories; `vaultd rebuild DIR` makes a new one"
            )
        if index is None and is_last and self._has_entry_behind(segment):
            raise StoreError(
                f"{path} is damaged at offset {len(segment.data)} in every copy, with good entries behind: "
                "the index cannot be rebuilt from it; restore the journal from another copy first"
            )

    def _has_entry_behind(self, segment: Segment) -> bool:
        """In the copies that are not of another history."""
        copies = [(self._copies.read(path), path) for path in self._copies.paths(segment.header.first)]
        own = [data for data, path in copies if not is_other_history(data, segment, path)]
        return has_entry_after(own, len(segment.data), segment.end.number + 1)

    def _complete_older(self, start: int) -> None:
        """Segments that the index has long applied: a copy that is missing, shortened, forked or, of those that are
        compared whole this time, damaged anywhere is mended from the other.
        """
        older = [first for first in reversed(self._firsts) if first < start]
        others = older[_NEWEST_COMPARED:]
        compared = {*older[:_NEWEST_COMPARED], *random.sample(others, min(_OTHERS_COMPARED, len(others)))}
        following = start
        skipped: list[int] = []  # between `following` and the segment before it: of another history, or damaged
        damaged: list[int] = []
        for first in older:
            looks_alike = self._is_alike if first in compared else self._looks_alike
            if not skipped and looks_alike(first):
                following = first
                continue
            segment = self._before(first, following)
            if segment is not None:
                for forked in skipped:
                    self._drop_forked(forked)
            elif skipped and (segment := self._before(first, skipped[-1])) is not None:
                damaged += skipped
            else:
                skipped.append(first)
                continue
            self._mend(segment)
            following, skipped = first, []
        for first in damaged + skipped:
            self._copy_damaged(first)

    def _copy_damaged(self, first: int) -> None:
        """What still reads of it comes onto a new disk too."""
        paths = self._copies.paths(first)
        sentence = "a segment of the journal is damaged in every copy; what it says was applied long ago"
        self._findings.append(Finding(Severity.damage, str(paths[0]), sentence))
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

    def _mend(self, segment: Segment) -> None:
        """Makes every copy equal to the segment; what the segment does not say is kept beside."""
        for path in self._copies.paths(segment.header.first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._keep_unread(path)
                write_file(self._door, path, segment.data)
                continue
            if data == segment.data and path not in self._copies.unsure:
                continue
            severity = Severity.warning
            is_other = is_other_history(data, segment, path)
            if not is_other and has_entry_after([data], len(segment.data), segment.end.number + 1):
                severity = Severity.damage
                self._keep_behind(path, data, len(segment.data))
            if is_other:
                severity = Severity.damage
                name = keep_forked(self._door, path, data)
                sentence = f"this copy of the journal is of another history: it was kept as {name}"
                write_file(self._door, path, segment.data)
            elif path in self._copies.unsure:
                sentence = "this copy of the journal could not be synced and was made anew"
                write_file(self._door, path, segment.data)
            elif data[: len(segment.data)] == segment.data:
                sentence = f"{len(data) - len(segment.data)} bytes of an entry that was never acknowledged were cut"
                self._truncate(path, len(segment.data))
            else:
                sentence = "this copy of the journal was missing, shorter or damaged and was made anew"
                write_file(self._door, path, segment.data)
            self._findings.append(Finding(severity, str(path), sentence))

    def _keep_behind(self, path: Path, data: bytes, start: int) -> None:
        """Entries behind a damaged one may have been acknowledged: index and catalog may be older than they are."""
        name = keep_tail(self._door, path, data, start)
        sentence = f"an entry at offset {start} is damaged, with good ones behind: what follows was kept as {name}"
        self._findings.append(Finding(Severity.damage, str(path), sentence))

    def _drop_forked(self, first: int) -> None:
        """A segment that only another history has; one without an entry says nothing."""
        if not has_entry_after([self._copies.read(path) for path in self._copies.paths(first)], 0):
            self._drop_unborn(first)
            return
        for path in self._copies.paths(first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._keep_unread(path)
            elif self._door.exists(path):
                name = keep_forked(self._door, path, data)
                sentence = f"this segment of the journal is of another history: it was kept as {name}"
                self._findings.append(Finding(Severity.damage, str(path), sentence))
        self._firsts.remove(first)

    def _keep_unread(self, path: Path) -> None:
        name = keep_unread(self._door, path)
        sentence = f"the disk refuses to read this copy of the journal: it was kept as {name}"
        self._findings.append(Finding(Severity.warning, str(path), sentence))

    def _truncate(self, path: Path, length: int) -> None:
        handle = self._door.open_write(path)
        try:
            self._door.truncate(handle, length)
            self._door.fdatasync(handle)
        finally:
            self._door.close(handle)

    def _drop_unborn(self, first: int) -> None:
        """A crash left a segment without an entry."""
        for path in self._copies.paths(first):
            if path in self._copies.unread:
                self._keep_unread(path)
            elif self._door.exists(path):
                self._door.unlink(path)
                self._door.fsync_directory(path.parent)
        self._firsts.remove(first)

    def _is_needed(self, first: int, end: Position) -> bool:
        if self._applied.index is None:
            return has_entry_after(list(map(self._copies.read, self._copies.paths(first))), 0, end.number + 1)
        return max(self._applied.index.number, self._applied.catalog.number) > end.number


def is_other_history(data: bytes, segment: Segment, path: Path) -> bool:
    """Whether a copy follows another entry, or holds another one in the place of one that the segment has."""
    if data == segment.data:
        return False
    header = decode_segment_header(data, path)
    if header and header.previous != segment.header.previous:
        return True
    known = {entry.position.hash for entry in segment.entries}
    return any(
        segment.header.first <= entry.position.number <= segment.end.number and entry.position.hash not in known
        for entry in entries_anywhere(data)
    )


def _reaches(segment: Segment, position: Position) -> bool:
    return segment.header.first - 1 <= position.number <= segment.end.number


def _holds(segment: Segment, position: Position) -> bool:
    if not _reaches(segment, position):
        return False
    if position.number == segment.header.first - 1:
        return segment.header.previous == position.hash
    return segment.entries[position.number - segment.header.first].position.hash == position.hash
