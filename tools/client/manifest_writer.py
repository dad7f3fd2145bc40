"""Writes a manifest while its entries arrive in order; memory is bounded by one block per level.

Where a block ends depends on the paths and contents around the place alone, so an unchanged part of a tree becomes the
same blocks again, and a leaf that is known may stand there without being written again. A leaf counts its extents in
its own sorted chunks, which are known when it ends: entries wait until then with everything packed but those numbers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

import msgpack

from tools.client.companion import companion_id, encode_companion
from tools.client.entry_packer import kind_of
from tools.client.manifest import (
    INNER_ROWS_MAX,
    LEAF_CHUNKS_MAX,
    LEVEL_MAX,
    PATH_BYTES_MAX,
    VERSION,
    Extent,
    Row,
    sort_key,
)
from tools.client.record_format import keyed

LEAF_BYTES_MIN = 32_768
LEAF_BYTES_MAX = 524_288
INNER_ROWS_MIN = 128
INNER_BYTES_MAX = 2_097_152

_LEAF_CUT_BELOW = 2**64 // 1024
_INNER_CUT_BELOW = 2**64 // 512

Emit = Callable[[bytes, bytes], bytes]
"""Takes a block's plaintext and its companion's body, sees to it that both are stored, answers the block's id."""

_ELEVEN, _TWELVE = b"\x9b", b"\x9c"  # array headers of an entry without and with extras
_LEAF_HEAD = bytes((0x95, VERSION, 0))
_ORDINALS = [msgpack.packb(i) for i in range(LEAF_CHUNKS_MAX)]


class WrittenLeaf(NamedTuple):
    """A leaf of whole paths, the first to the last, that its last path ended. Where the same entries come again behind
    the end of another one they become this leaf again. `row`: what stands above it. `kinds`: how many paths of each.
    """

    row: Row
    kinds: Counter[int]


TellLeaf = Callable[[WrittenLeaf], None]


class EntryTooLarge(ValueError):
    """The metadata of one path fills more than a block; nothing of it was written."""


@dataclass(frozen=True, slots=True)
class WrittenManifest:
    """The top of a finished manifest."""

    top_block: bytes
    top_companion: bytes
    level: int
    entries: int
    content_bytes: int


@dataclass(slots=True)
class _GrowingLeaf:
    """Entries as flat pieces of msgpack, with a gap where an ordinal will stand: no object per entry, a leaf has
    thousands. `places[i]` is the piece that becomes the ordinal of chunk `named[i]`."""

    pieces: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    named: list[bytes] = field(default_factory=list)
    chunks: set[bytes] = field(default_factory=set)
    fixed_bytes: int = 0  # all entries without their ordinals
    entries: int = 0
    content_bytes: int = 0
    first: bytes = b""
    last: bytes = b""
    is_of_whole_paths: bool = True
    kinds: Counter[int] = field(default_factory=Counter)

    def entry_bytes(self) -> int:
        """Bytes of the entries' msgpack, were the leaf to end here."""
        return self.fixed_bytes + _ordinal_bytes(self.named)

    def has_room_for(self, fixed_bytes: int, named: list[bytes]) -> bool:
        """Whether an entry fits; exact counting is left for the few entries that come near a limit."""
        size = self.fixed_bytes + fixed_bytes
        references = len(self.named) + len(named)
        count = len(self.chunks) + len(named)
        if count > LEAF_CHUNKS_MAX and len(self.chunks.union(named)) > LEAF_CHUNKS_MAX:
            return False
        if size + 3 * references <= LEAF_BYTES_MAX:
            return True
        return size + references <= LEAF_BYTES_MAX and size + _ordinal_bytes(self.named + named) <= LEAF_BYTES_MAX

    def append(self, lead: bytes, named: list[bytes], tails: list[bytes]) -> None:
        """An entry: what stands before its extents, then every extent's chunk and what stands behind it."""
        pieces = self.pieces
        pieces.append(lead)
        for tail in tails:
            self.places.append(len(pieces))
            pieces.append(b"")
            pieces.append(tail)
        self.named += named
        self.chunks.update(named)
        self.entries += 1

    def take_pieces(self, ordinals: dict[bytes, bytes]) -> list[bytes]:
        """The pieces with their gaps filled."""
        for place, chunk in zip(self.places, self.named, strict=True):
            self.pieces[place] = ordinals[chunk]
        return self.pieces


@dataclass(slots=True)
class _GrowingInner:
    """Rows of one level that no inner block lists yet."""

    rows: list[bytes] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    companions: list[bytes] = field(default_factory=list)
    row_bytes: int = 0
    first: bytes = b""
    last: bytes = b""
    entries: int = 0
    content_bytes: int = 0


class ManifestWriter:
    """Takes entries in order of sort_key and emits blocks from the leaves up; `tell_leaf` hears of leaves that can be
    added as they are another time. `kinds`: of all paths until now. For one thread.
    """

    def __init__(self, cut_key: bytes, emit: Emit, tell_leaf: TellLeaf | None = None) -> None:
        self.kinds: Counter[int] = Counter()
        self._cut_key = cut_key
        self._emit = emit
        self._tell_leaf = tell_leaf
        self._ended: WrittenLeaf | None = None  # by its last path, of which more may follow
        self._packer = msgpack.Packer(use_bin_type=True)
        self._leaf = _GrowingLeaf()
        self._inners: list[_GrowingInner] = []  # index 0 becomes blocks of level 1
        self._last_key: bytes | None = None

    def add(
        self,
        path: bytes,
        prefix: bytes,
        extents: Sequence[Extent] | None,
        extras: bytes | None = None,
        content_bytes: int = 0,
    ) -> None:
        """One path, with the bytes of an EntryPacker; `content_bytes` is its size, for the rows above. Of the extents
        an entry lists so many as the format allows; the rest follows with `go_on`.

        ValueError when it is out of order, EntryTooLarge when no block can hold it; the writer is as before then.
        """
        key = sort_key(path)
        if self._last_key is not None and key <= self._last_key:
            raise ValueError(f"manifest entries must be sorted: {path!r} comes too late")
        if len(path) > PATH_BYTES_MAX:
            raise EntryTooLarge(f"a path of {len(path)} bytes is too long for a manifest")
        self._append(path, prefix, extents or (), extras, content_bytes, kind_of(path, prefix))
        self._last_key = key

    def go_on(self, path: bytes, prefix: bytes, extents: Sequence[Extent], extras: bytes | None = None) -> None:
        """Further extras or extents of the path that was added last, all extras before any extents; its size counted
        with the first.
        """
        self._append(path, prefix, extents, extras, 0, None)

    @property
    def is_between_leaves(self) -> bool:
        """Whether the next path begins a leaf."""
        return not self._leaf.entries

    def add_leaf(self, leaf: WrittenLeaf) -> None:
        """What is between two leaves, or at the very beginning, and had become this leaf before. ValueError when its
        first path comes too late.
        """
        first = leaf.row.first
        if not self.is_between_leaves or (self._last_key is not None and sort_key(first) <= self._last_key):
            raise ValueError(f"a leaf of a manifest that begins with {first!r} does not belong here")
        self._tell_ended()
        self._add_row(0, leaf.row)
        self.kinds.update(leaf.kinds)
        self._last_key = sort_key(leaf.row.last)
        if self._tell_leaf is not None:
            self._tell_leaf(leaf)

    def fork(self, emit: Emit) -> "ManifestWriter":
        """Another writer that has what this one has so far, and goes its own way from here."""
        other = ManifestWriter(self._cut_key, emit)
        other._leaf, other._inners = deepcopy((self._leaf, self._inners))
        other._last_key = self._last_key
        other.kinds = self.kinds.copy()
        return other

    def finish(self) -> WrittenManifest:
        """Ends every level; the last block is the top. A manifest without entries is one empty leaf."""
        self._tell_ended()
        if self._leaf.entries or not self._inners:
            self._end_leaf()
        level = 0
        while level < len(self._inners):
            inner = self._inners[level]
            if len(inner.rows) == 1 and level == len(self._inners) - 1:
                top = inner.blocks[0], inner.companions[0]
                return WrittenManifest(*top, level, inner.entries, inner.content_bytes)
            if inner.rows:
                self._end_inner(level)
            level += 1
        raise AssertionError("a manifest ends with one block at its highest level")

    def _append(
        self,
        path: bytes,
        prefix: bytes,
        extents: Sequence[Extent],
        extras: bytes | None,
        content_bytes: int,
        kind: int | None,
    ) -> None:
        """Without a kind it goes on with a path."""
        pack = self._packer.pack
        named = [extent[0] for extent in extents]
        tails = [pack(offset) + pack(length) for _, offset, length in extents]
        lead = (_ELEVEN if extras is None else _TWELVE) + prefix + self._packer.pack_array_header(3 * len(named))
        fixed_bytes = len(lead) + len(extras or b"")
        for tail in tails:
            fixed_bytes += len(tail)
        leaf = self._leaf
        if not leaf.has_room_for(fixed_bytes, named):
            if fixed_bytes + 3 * len(named) > LEAF_BYTES_MAX:
                raise EntryTooLarge(
                    f"the metadata of {path!r} has {fixed_bytes} bytes, a manifest takes {LEAF_BYTES_MAX} for one path"
                )
            self._end_leaf()
            leaf = self._leaf
        if self._ended is not None:
            if kind is None:
                self._ended = None  # its last path goes on elsewhere
            self._tell_ended()
        if not leaf.entries:
            leaf.first = path
            leaf.is_of_whole_paths = kind is not None
        leaf.last = path
        if kind is not None:
            leaf.kinds[kind] += 1
            self.kinds[kind] += 1
        leaf.fixed_bytes += fixed_bytes
        leaf.content_bytes += content_bytes
        leaf.append(lead, named, tails)
        if extras is not None:
            leaf.pieces.append(extras)
        # Three bytes are the widest ordinal: the first entries of a leaf are decided by this line, without a hash.
        if leaf.fixed_bytes + 3 * len(leaf.named) < LEAF_BYTES_MIN:
            return
        if _first_u64(keyed(self._cut_key, path)) < _LEAF_CUT_BELOW and leaf.entry_bytes() >= LEAF_BYTES_MIN:
            is_of_whole_paths = leaf.is_of_whole_paths
            ended = self._end_leaf()
            self._ended = ended if is_of_whole_paths else None

    def _tell_ended(self) -> None:
        """Its last path is whole."""
        ended, self._ended = self._ended, None
        if ended is not None and self._tell_leaf is not None:
            self._tell_leaf(ended)

    def _end_leaf(self) -> WrittenLeaf:
        packer = self._packer
        leaf, self._leaf = self._leaf, _GrowingLeaf()
        chunks = sorted(leaf.chunks)
        pieces = leaf.take_pieces(dict(zip(chunks, _ORDINALS, strict=False)))
        companion_body = encode_companion(0, chunks, ())
        companion = companion_id(companion_body)
        head = _LEAF_HEAD + b"".join(map(packer.pack, (companion, b"".join(chunks))))
        plaintext = b"".join((head, packer.pack_array_header(leaf.entries), *pieces))
        block = self._emit(plaintext, companion_body)
        row = Row(leaf.first, leaf.last, block, companion, leaf.entries, leaf.content_bytes)
        self._add_row(0, row)
        return WrittenLeaf(row, leaf.kinds)

    def _add_row(self, index: int, below: Row) -> None:
        if index == len(self._inners):
            if index >= LEVEL_MAX:
                raise ValueError(f"a manifest has at most {LEVEL_MAX} levels")
            self._inners.append(_GrowingInner())
        b = below
        row: bytes = self._packer.pack((b.first, b.last, b.block, b.companion, b.entries, b.content_bytes))
        if self._inners[index].rows and self._inners[index].row_bytes + len(row) > INNER_BYTES_MAX:
            self._end_inner(index)
        inner = self._inners[index]
        if not inner.rows:
            inner.first = b.first
        inner.rows.append(row)
        inner.blocks.append(b.block)
        inner.companions.append(b.companion)
        inner.row_bytes += len(row)
        inner.last = b.last
        inner.entries += b.entries
        inner.content_bytes += b.content_bytes
        count = len(inner.rows)
        if count >= INNER_ROWS_MAX or (count >= INNER_ROWS_MIN and _first_u64(b.block) < _INNER_CUT_BELOW):
            self._end_inner(index)

    def _end_inner(self, index: int) -> None:
        inner, self._inners[index] = self._inners[index], _GrowingInner()
        level = index + 1
        # Blocks of one content, as of a file of one byte over and over, are one block: its id stands there once.
        companion_body = encode_companion(level, sorted(set(inner.blocks)), inner.companions)
        companion = companion_id(companion_body)
        packer = self._packer
        head = b"\x94" + b"".join(map(packer.pack, (VERSION, level, companion)))
        plaintext = b"".join((head, packer.pack_array_header(len(inner.rows)), *inner.rows))
        block = self._emit(plaintext, companion_body)
        self._add_row(level, Row(inner.first, inner.last, block, companion, inner.entries, inner.content_bytes))


def _ordinal_bytes(named: list[bytes]) -> int:
    """Bytes of all ordinals, were these the chunks that a leaf's extents name."""
    references = Counter(named)
    if len(references) <= 128:  # every ordinal is one byte
        return len(named)
    return sum(len(ordinal) * references[chunk] for ordinal, chunk in zip(_ORDINALS, sorted(references), strict=False))


def _first_u64(hash: bytes) -> int:
    return int.from_bytes(hash[:8], "little")
