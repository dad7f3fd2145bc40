"""Rows of the scan become manifest entries and rows of the next cache. One worker thread at a time.

As long as nothing differs from the base nothing is written: a tree without a change is the manifest that the vault has.
With the first difference the rows that were passed over are taken from the cache, then those of the scan.
"""

import sqlite3
from collections.abc import Generator, Iterator
from typing import TypeVar

from tools.agent.batch import Batch, ScanRow
from tools.agent.cache import EXTENTS_BYTES_MAX, Cache, CachedRow, row_checksum
from tools.agent.extent_list import PackedExtents
from tools.agent.missed import Missed
from tools.agent.outgoing import Outgoing, RecordMaker
from tools.client.manifest import ENTRY_EXTENTS_MAX
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter, WrittenManifest

# Blocks and companions that are held before they are handed over; one entry completes 2 MiB of them at most.
_STEP_BYTES = 8 * 1024 * 1024

_Result = TypeVar("_Result")
_Steps = Generator[list[Outgoing], None, _Result]


class Feed:
    def __init__(self, cut_key: bytes, maker: RecordMaker, cache: Cache, missed: Missed) -> None:
        self._maker = maker
        self._cache = cache
        self._missed = missed
        self._emitted: list[Outgoing] = []
        self._emitted_bytes = 0
        self._writer = ManifestWriter(cut_key, self._emit)
        self._base_rows = cache.rows()
        self._passed_key = b""
        self._passed = 0
        self._is_writing = cache.base is None

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
        for row in batch.rows:
            if isinstance(row, bytes):
                yield from self._write_known(self._base_row(row))
                continue
            packed = row.packed_extents()
            is_written = yield from self._write(row.path, row.prefix, packed, row.extras, row.content_bytes)
            if is_written and len(packed) <= EXTENTS_BYTES_MAX:
                changed.append(_cached(row, packed))
            else:
                gone.append(row.path.replace(b"/", b"\0"))
        if changed or gone:
            self._cache.change(changed, gone)
        if self._emitted:
            yield self._taken()

    def finish(self) -> tuple[WrittenManifest, list[Outgoing]]:
        base = self._cache.base
        if not self._is_writing and base is not None:
            return WrittenManifest(base.top_block, base.top_companion, base.level, self._passed, 0), []
        written = self._writer.finish()
        return written, self._taken()

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
        for row in self._base_rows:
            yield from self._write_known(row)
            if row.key == self._passed_key:
                return

    def _base_row(self, key: bytes) -> CachedRow:
        for row in self._base_rows:
            if row.key == key:
                return row
        raise sqlite3.DatabaseError("a path that was there is missing")

    def _write_known(self, row: CachedRow) -> _Steps[None]:
        if not row.is_whole():
            raise sqlite3.DatabaseError("the checksum of a row is wrong")
        path = row.key.replace(b"\0", b"/")
        yield from self._write(path, row.prefix, row.extents, row.extras, row.size if row.extents else 0)

    def _write(self, path: bytes, prefix: bytes, packed: bytes, extras: bytes | None, size: int) -> _Steps[bool]:
        """Whether a block could hold it."""
        extents = PackedExtents(packed)
        try:
            self._writer.add(path, prefix, extents[:ENTRY_EXTENTS_MAX], extras, size)
        except EntryTooLarge:
            self._missed.add(path, "metadata too large")
            return False
        for start in range(ENTRY_EXTENTS_MAX, len(extents), ENTRY_EXTENTS_MAX):
            self._writer.go_on(path, prefix, extents[start : start + ENTRY_EXTENTS_MAX])
            if self._emitted_bytes >= _STEP_BYTES:
                yield self._taken()
        if self._emitted_bytes >= _STEP_BYTES:
            yield self._taken()
        return True

    def _emit(self, plaintext: bytes, companion_body: bytes) -> bytes:
        block, companion = self._maker.block(plaintext, companion_body)
        self._emitted += (block, companion)
        self._emitted_bytes += len(block.content) + len(companion.content)
        return block.id

    def _taken(self) -> list[Outgoing]:
        taken, self._emitted, self._emitted_bytes = self._emitted, [], 0
        return taken


def _cached(row: ScanRow, packed: bytes) -> CachedRow:
    key = row.path.replace(b"/", b"\0")
    checksum = row_checksum(key, row.prefix, packed, row.extras)
    return CachedRow(key, *row.fingerprint, row.prefix, packed, row.extras, checksum)
