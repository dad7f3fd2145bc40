"""Rows of the scan become manifest entries and rows of the next cache. One worker thread at a time.

As long as nothing differs from the base nothing is written: a tree without a change is the manifest that the vault has.
With the first difference what was passed over is taken from the cache, then come the rows of the scan. A leaf of the
base's manifest of which every path is as it was is added as it is, so that a change costs what is near to it.
"""

import sqlite3
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum
from tools.agent.chunks.extent_list import unpack_extents
from tools.agent.missed import Missed
from tools.agent.run.base_tree import BaseTree, behind
from tools.agent.run.put_path import Put, put
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.batch import Batch, ScanRow
from tools.agent.upload.outgoing import Outgoing, RecordMaker
from tools.client.extras_parts import hole_bytes
from tools.client.manifest import sort_key
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter, WrittenLeaf, WrittenManifest

# Blocks and companions that are held before they are handed over; one entry completes 2 MiB of them at most.
_STEP_BYTES = 8 * 1024 * 1024

_Result = TypeVar("_Result")
_Steps = Generator[list[Outgoing], None, _Result]


@dataclass(frozen=True, slots=True)
class SoFar:
    """A whole manifest of what has come until now: its last blocks and companions, and how many paths of each kind."""

    manifest: WrittenManifest
    blocks: list[Outgoing]
    kinds: Counter[int]


@dataclass(slots=True)
class _Passing:
    """A leaf of the base of which some paths came as they were, up to a key; as many are passed over."""

    leaf: WrittenLeaf
    last_key: bytes
    passed_key: bytes = b""
    paths: int = 0


class Feed:
    def __init__(self, cut_key: bytes, maker: RecordMaker, cache: Cache, missed: Missed, journal: RunJournal) -> None:
        self._maker = maker
        self._cache = cache
        self._journal = journal
        self._missed = missed
        self._emitted: list[Outgoing] = []
        self._emitted_bytes = 0
        self._writer = ManifestWriter(cut_key, self._emit, cache.add_leaf)
        self._base = BaseTree(cache)
        self._passed_key = b""
        self._passed = 0
        self._passing: _Passing | None = None
        self._is_writing = cache.base is None or cache.is_resumed

    def add(self, batch: Batch) -> Iterator[list[Outgoing]]:
        """The manifest blocks and companions that were completed, some at a time: a file of terabytes, or a first
        difference at the end of a large tree, completes many. All chunks of the rows have their ids.
        """
        if not self._is_writing:
            if not batch.gone and all(type(row) is bytes for row in batch.rows):
                self._pass_over(batch)
                return
            yield from self._begin_writing()
        changed, gone = [], list(batch.gone)
        self._base.note_gone(gone)
        if self._passing is not None and self._base.has_lost(self._passing.leaf):
            yield from self._stop_passing()  # all that was passed over of it is still there
        unchanged: list[bytes] = []
        for row in batch.rows:
            if isinstance(row, bytes):
                unchanged.append(row)
                continue
            yield from self._take_unchanged(unchanged)
            unchanged.clear()
            yield from self._stop_passing()
            key = row.path.replace(b"/", b"\0")
            parts = row.extent_parts()
            first = next(parts, b"")
            further = yield from self._write(
                row.path,
                put(self._writer, row.path, row.prefix, first, self._keep(key, parts), row.extras, row.content_bytes),
            )
            if further is None:
                gone.append(key)
            else:
                changed.append(_cached(row, key, first, further))
        yield from self._take_unchanged(unchanged)
        if changed or gone or batch.bundles:
            self._cache.change(changed, gone, [(bundle.id, bundle.size_bytes) for bundle in batch.bundles])
            self._journal.add_rows(changed)
        if self._emitted:
            yield self._taken()

    def finish(self) -> tuple[WrittenManifest, list[Outgoing]]:
        base = self._cache.base
        if not self._is_writing and base is not None:
            return WrittenManifest(base.top_block, base.top_companion, base.level, self._passed, 0), []
        blocks = [block for some in self._stop_passing() for block in some]
        written = self._writer.finish()
        return written, blocks + self._taken()

    def so_far(self) -> SoFar | None:
        """None while nothing differs from the base. Between two batches, so that no path is in it by half."""
        if not self._writer.kinds and self._passing is None:
            return None
        blocks: list[Outgoing] = []

        def emit(plaintext: bytes, companion_body: bytes) -> bytes:
            block, companion = self._maker.block(plaintext, companion_body)
            blocks.extend((block, companion))
            return block.id

        writer = self._writer.fork(emit)
        for row in self._passed_rows(self._passing):
            deque(self._put_known(writer, _path_of(row), row), 0)
        return SoFar(writer.finish(), blocks, writer.kinds)

    def _pass_over(self, batch: Batch) -> None:
        for row in batch.rows[-1:]:
            assert isinstance(row, bytes)
            self._passed_key = row
        self._passed += len(batch.rows)

    def _begin_writing(self) -> _Steps[None]:
        """Everything up to the last path that was passed over is still in the tree, or this had begun before it."""
        self._is_writing = True
        if not self._passed:
            return
        begin = b""
        while (leaf := self._base.leaf_before(self._passed_key)) is not None:
            first, last = sort_key(leaf.row.first), sort_key(leaf.row.last)
            yield from self._write_rows(begin, first)
            if self._writer.is_between_leaves:
                self._writer.add_leaf(leaf)
            else:
                yield from self._write_rows(first, behind(last))
            begin = behind(last)
        yield from self._write_rows(begin, behind(self._passed_key))

    def _take_unchanged(self, keys: Sequence[bytes]) -> _Steps[None]:
        """Paths that follow one another without anything new among them."""
        at = 0
        while at < len(keys):
            passing = self._passing or self._begin_passing(keys[at])
            if passing is None:
                yield from self._write_known(self._base.row(keys[at]))
                at += 1
                continue
            end = bisect_right(keys, passing.last_key, at)
            passing.paths += end - at
            passing.passed_key = keys[end - 1]
            at = end
            if passing.passed_key == passing.last_key or at < len(keys):
                self._end_passing(passing)

    def _begin_passing(self, key: bytes) -> _Passing | None:
        leaf = self._base.leaf_at(key) if self._writer.is_between_leaves else None
        self._passing = None if leaf is None else _Passing(leaf, sort_key(leaf.row.last))
        return self._passing

    def _end_passing(self, passing: _Passing) -> None:
        """Its last path has come, or one that lies behind it."""
        if passing.paths != passing.leaf.kinds.total():
            raise sqlite3.DatabaseError("a leaf that is known has other paths than its rows")
        self._writer.add_leaf(passing.leaf)
        self._passing = None

    def _stop_passing(self) -> _Steps[None]:
        """Something in the leaf is not as it was: what was passed over of it is written."""
        passing, self._passing = self._passing, None
        for row in self._passed_rows(passing):
            yield from self._write_known(row)

    def _passed_rows(self, passing: _Passing | None) -> Iterator[CachedRow]:
        if passing is None or not passing.paths:
            return iter(())
        return self._base.rows(sort_key(passing.leaf.row.first), behind(passing.passed_key))

    def _keep(self, key: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Passes the extents on that follow the first part of a path, each part when the cache has it."""
        for number, part in enumerate(parts, 1):
            self._cache.add_extents(key, number, part)
            self._journal.add_extents(key, number, part)
            yield part

    def _write_rows(self, begin: bytes, end: bytes) -> _Steps[None]:
        """Those of the base from one key on and before another one."""
        for row in self._base.rows(begin, end):
            yield from self._write_known(row)

    def _write_known(self, row: CachedRow) -> _Steps[None]:
        path = _path_of(row)
        if row.further or row.extras is not None:
            yield from self._write(path, self._put_known(self._writer, path, row))
            return
        # Nearly every path: one entry, which always fits a block.
        self._writer.add(path, row.prefix, unpack_extents(row.extents), None, _content_bytes(row))
        if self._emitted_bytes >= _STEP_BYTES:
            yield self._taken()

    def _put_known(self, writer: ManifestWriter, path: bytes, row: CachedRow) -> Put:
        further = self._cache.further_extents(row)
        return put(writer, path, row.prefix, row.extents, further, row.extras, _content_bytes(row))

    def _write(self, path: bytes, parts: Put) -> _Steps[int | None]:
        """How many parts followed the first; None when no block could hold the path."""
        count = -1
        try:
            for _ in parts:
                count += 1
                if self._emitted_bytes >= _STEP_BYTES:
                    yield self._taken()
        except EntryTooLarge:
            self._missed.add(path, "metadata too large")
            return None
        return count

    def _emit(self, plaintext: bytes, companion_body: bytes) -> bytes:
        block, companion = self._maker.block(plaintext, companion_body)
        self._emitted += (block, companion)
        self._emitted_bytes += len(block.content) + len(companion.content)
        return block.id

    def _taken(self) -> list[Outgoing]:
        taken, self._emitted, self._emitted_bytes = self._emitted, [], 0
        return taken


def _path_of(row: CachedRow) -> bytes:
    """sqlite3.DatabaseError where the row is not as it was written."""
    if not row.is_whole():
        raise sqlite3.DatabaseError("the checksum of a row is wrong")
    return row.key.replace(b"\0", b"/")


def _content_bytes(row: CachedRow) -> int:
    """The size in its entry, which is 0 of all but files."""
    return row.size if row.extents else hole_bytes(row.extras)


def _cached(row: ScanRow, key: bytes, extents: bytes, further: int) -> CachedRow:
    checksum = row_checksum(key, row.prefix, extents, row.extras, further)
    return CachedRow(key, *row.fingerprint, row.prefix, extents, further, row.extras, checksum)
