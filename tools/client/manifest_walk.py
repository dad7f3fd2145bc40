"""Walks a manifest from its top without knowing how blocks are fetched: ask for blocks, give them, take entries.

Every block is compared with its companion and with the row that led to it. What is damaged is remembered and the rest
goes on: a block without its companion still says what it holds. Many blocks of one level are asked for at once, so the
round trips are few; at most that many blocks are held.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tools.client.companion import Companion, open_companion
from tools.client.manifest import Entry, Inner, Leaf, Row, check_path, sort_key
from tools.client.manifest_decode import decode_block
from tools.client.manifest_join import EntryJoiner
from tools.client.record_format import Buffer, IntegrityError
from tools.client.terminal_text import escape_path

LEAVES_AT_ONCE = 16
INNER_BLOCKS_AT_ONCE = 8


class CompanionMismatch(IntegrityError):
    """A companion says something else than its sealed block: the vault may not know all that the safeset needs."""


@dataclass(frozen=True, slots=True)
class BlockReference:
    """A block that a walk needs, with its companion."""

    block: bytes
    companion: bytes
    level: int


FetchedBlock = tuple[Buffer | IntegrityError, Buffer | IntegrityError]
"""The plaintext of a block, opened under its id, and its companion's whole record as it came, or why there is none."""


class ManifestWalk:
    """All entries in order, or those at and below one path and at those of `also`. For one thread.

    Only blocks that may hold one of them are asked for: one of each level, and what the range needs beside it.
    Loop: take all entries, give what `wanted` names, until `wanted` is empty. `damage` says what is wrong so far.
    """

    def __init__(self, top: BlockReference, path: bytes = b"", also: Collection[bytes] = ()) -> None:
        check_path(path)
        self._key = sort_key(path)
        self._also = frozenset(map(sort_key, also))
        self._also_in_order = sorted(self._also)
        self._pending: deque[tuple[BlockReference, Row | None]] = deque([(top, None)])
        self._leaves: deque[Leaf] = deque()
        self._joiner = EntryJoiner()
        self.damage: list[IntegrityError] = []

    def wanted(self) -> list[BlockReference]:
        """The next blocks in order, all of one level; empty when the walk has ended."""
        if not self._pending:
            return []
        level = self._pending[0][0].level
        wanted: list[BlockReference] = []
        for reference, _ in self._pending:
            if reference.level != level or len(wanted) == (INNER_BLOCKS_AT_ONCE if level else LEAVES_AT_ONCE):
                break
            wanted.append(reference)
        return wanted

    def give(self, fetched: Sequence[FetchedBlock]) -> None:
        """What `wanted` asked for, in its order. IntegrityError only when nothing can be read at all: at the top."""
        below: list[tuple[BlockReference, Row | None]] = []
        for plaintext, companion_record in fetched:
            reference, row = self._pending.popleft()
            try:
                block = _decoded(plaintext, reference, row)
            except IntegrityError as error:
                if row is None:
                    raise
                self.damage.append(_lost(row, error))
                continue
            try:
                _compare(reference, block, companion_record)
            except IntegrityError as error:
                self.damage.append(error)
            if isinstance(block, Leaf):
                self._leaves.append(block)
            else:
                below += [
                    (BlockReference(r.block, r.companion, block.level - 1), r) for r in block.rows if self._may_hold(r)
                ]
        self._pending.extendleft(reversed(below))

    def take(self) -> Iterator[Entry]:
        """The entries of the leaves that were given, those that continue made whole; the last may wait for a leaf."""
        while self._leaves:
            for entry in self._leaves.popleft().entries:
                if self._selects(entry.path):
                    yield from self._joined(entry)
        if not self._pending:
            yield from self._joiner.finish()

    def _joined(self, stored: Entry) -> list[Entry]:
        try:
            return list(self._joiner.add(stored))
        except IntegrityError as error:
            self.damage.append(error)
            return []

    def _may_hold(self, row: Row) -> bool:
        first, last = sort_key(row.first), sort_key(row.last)
        if last >= self._key and (first <= self._key or self._below(first)):
            return True
        at = bisect_left(self._also_in_order, first)
        return at < len(self._also_in_order) and self._also_in_order[at] <= last

    def _selects(self, path: bytes) -> bool:
        key = sort_key(path)
        return key == self._key or self._below(key) or key in self._also

    def _below(self, key: bytes) -> bool:
        return not self._key or key.startswith(self._key + b"\0")


def _decoded(plaintext: Buffer | IntegrityError, reference: BlockReference, row: Row | None) -> Leaf | Inner:
    if isinstance(plaintext, IntegrityError):
        raise plaintext
    block = decode_block(plaintext)
    level = 0 if isinstance(block, Leaf) else block.level
    if level != reference.level:
        raise IntegrityError(f"manifest block {reference.block.hex()} has level {level}, not {reference.level}")
    _check_range(block, row)
    return block


def _lost(row: Row, error: IntegrityError) -> IntegrityError:
    return IntegrityError(
        f"nothing is known of {row.entries} paths from /{escape_path(row.first)} to /{escape_path(row.last)}: {error}"
    )


def _compare(reference: BlockReference, block: Leaf | Inner, record: Buffer | IntegrityError) -> None:
    """A companion must say exactly what its block uses."""
    if isinstance(record, IntegrityError):
        raise record
    companion = open_companion(record, reference.companion)
    if isinstance(block, Leaf):
        said = Companion(0, block.chunks, ())
    else:
        said = Companion(
            block.level, tuple(sorted({row.block for row in block.rows})), tuple(row.companion for row in block.rows)
        )
    if block.companion != reference.companion or said != companion:
        raise CompanionMismatch(
            f"companion {reference.companion.hex()} says something else than manifest block {reference.block.hex()}"
        )


def _check_range(block: Leaf | Inner, row: Row | None) -> None:
    """A block must hold the paths that its row promises, or a walk for one path would miss it silently."""
    if row is None:
        return
    if isinstance(block, Leaf):
        ends = (block.entries[0].path, block.entries[-1].path) if block.entries else (b"", b"")
        count, content_bytes = len(block.entries), row.content_bytes
    else:
        ends = block.rows[0].first, block.rows[-1].last
        count, content_bytes = sum(r.entries for r in block.rows), sum(r.content_bytes for r in block.rows)
    if ends != (row.first, row.last) or (count, content_bytes) != (row.entries, row.content_bytes):
        raise IntegrityError(f"manifest block {row.block.hex()} does not hold what the row above it says")
