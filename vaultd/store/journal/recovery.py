"""Makes the copies of the journal agree when it is opened.

Invariants: what will be believed is synced first; the longest valid chain that holds what was applied wins; nothing is
changed before the whole chain was accepted; nothing that was applied is cut. A crash in here is survived by running it
again.
Threads: the writer thread only.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from vaultd.store.disk_door import Door, make_directory
from vaultd.store.errors import JournalBehind, StoreError
from vaultd.store.findings import Finding
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.journal.format import Segment, has_entry_after
from vaultd.store.journal.history import holds, is_other_history, reaches
from vaultd.store.journal.kept import is_forked
from vaultd.store.journal.mending import JournalMending
from vaultd.store.journal.older import OlderSegments
from vaultd.store.position import START, Position
from vaultd.store.refusals import refusal


class Applied(Struct, frozen=True):
    """What index and catalog have applied; `index` is None while the index is being rebuilt, `who` is the catalog.

    `checkpoint`: where the newest one stands, if the catalog is lost. It tells how far the journal went at least, and
    not which of two histories is the right one.
    """

    index: Position | None
    catalog: Position = START
    who: str = "catalog"
    checkpoint: Position = START


class RecoveredJournal(Struct, frozen=True):
    findings: list[Finding]
    firsts: list[int]
    end: Position
    segment_length: int
    last_entry_ns: int | None  # what the vault's clock said at the last entry


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
        raise refusal("a copy of the journal cannot be mended", error) from error


class _Recovery:
    def __init__(self, door: Door, copies: JournalCopies, applied: Applied) -> None:
        self._door = door
        self._copies = copies
        self._applied = applied
        self._firsts: list[int] = []
        self._mending = JournalMending(door, copies, self._firsts)
        self._segment_length = 0
        self._last_entry_ns: int | None = None

    def run(self) -> RecoveredJournal:
        for directory in self._copies.directories:
            make_directory(self._door, directory)
        self._firsts += self._copies.firsts()
        known = max((self._applied.index or START).number, 1)
        older = [first for first in self._firsts if first <= known]
        if not older:
            places = ", ".join(str(directory) for directory in self._copies.directories)
            raise StoreError(f"the journal with entry {known} is missing in {places}: bring it back")
        self._settle()
        start, chains = self._choose_start(older)
        end = self._recover_from(start, chains)
        OlderSegments(self._door, self._copies, self._firsts, self._mending).complete(start)
        findings = self._mending.findings
        return RecoveredJournal(findings, self._firsts, end, self._segment_length, self._last_entry_ns)

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
                    self._copies.unsure.add(path)  # made anew by `mend`

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
        if all(self._copies.is_alike(first) for first in firsts):
            return [_Chain(0, firsts, START, holds_index=True, holds_catalog=True)]  # nothing to choose from
        return [self._follow(firsts, preferred) for preferred in range(len(self._copies.directories))]

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
            holds_index = holds_index or (index is not None and holds(segment, index))
            holds_catalog = holds_catalog or holds(segment, catalog)
            end = segment.end
        return _Chain(preferred, followed, end or START, holds_index, holds_catalog)

    def _recover_from(self, start: int, chains: list[_Chain]) -> Position:
        """Checks and mends the last segments; the position after the last entry."""
        best = max(chains, key=lambda chain: (chain.holds_index, chain.holds_catalog, chain.end.number))
        others = {first for chain in chains for first in chain.firsts}.difference(best.firsts) | self._empty(best)
        firsts = [first for first in self._firsts if first >= start and first not in others]
        newest = max(self._checked(firsts, best), key=lambda segment: segment.header.first)  # one in memory at a time
        self._mending.is_end_vouched = self._is_vouched(newest)
        self._require_read(newest, {first for first in firsts if first >= newest.header.first} | others)
        self._require_checkpoint(newest, others)
        for first in sorted(others):
            self._mending.drop_forked(first)
        end: Position | None = None
        for segment in self._checked(firsts, best):
            self._mending.mend(segment)
            self._segment_length = len(segment.data)
            if segment.entries:
                self._last_entry_ns = segment.entries[-1].time_ns
            end = segment.end
        assert end is not None
        for first in firsts:
            if first > end.number + 1 or (first == end.number + 1 and self._copies.merge(first, end) is None):
                self._mending.drop_unborn(first, end.number)
        return end

    def _require_read(self, newest: Segment, firsts: Iterable[int]) -> None:
        """A copy that cannot be read may go on behind the others, unless index or catalog say that they end there."""
        for first in sorted(firsts):
            if not self._is_vouched(newest) or first > newest.end.number:
                self._copies.refuse_unread(first)

    def _is_vouched(self, newest: Segment) -> bool:
        """Whether index or catalog say that nothing was acknowledged behind the last entry."""
        catalog = self._applied.catalog
        return self._applied.index is not None or (catalog != START and catalog.number == newest.end.number)

    def _require_checkpoint(self, newest: Segment, others: Iterable[int]) -> None:
        """One that is ahead of the journal tells that entries are lost, unless it may be of a history that is kept."""
        number, end = self._applied.checkpoint.number, newest.end.number
        if number > end and not self._is_forked(newest, others):
            path = self._copies.paths(newest.header.first)[0]
            raise JournalBehind(
                f"the checkpoint has applied entry {number}, but the journal ends at entry {end}, in {path}: "
                "the journal is damaged, or a disk with its newer copy is missing"
            )

    def _is_forked(self, newest: Segment, others: Iterable[int]) -> bool:
        """Whether another history is kept here, or will be."""
        if is_forked(self._door, self._copies.directories):
            return True
        paths = self._copies.paths(newest.header.first)
        if any(is_other_history(data, newest, path) for path in paths if (data := self._copies.read(path))):
            return True
        return any(has_entry_after(list(map(self._copies.read, self._copies.paths(first))), 0) for first in others)

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
        if index and reaches(segment, index) and not holds(segment, index):
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

    def _is_needed(self, first: int, end: Position) -> bool:
        index = self._applied.index
        if max((index or START).number, self._applied.catalog.number) > end.number:
            return True
        copies = map(self._copies.read, self._copies.paths(first))
        return index is None and has_entry_after(list(copies), 0, end.number + 1)
