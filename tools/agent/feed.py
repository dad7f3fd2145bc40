"""Rows of the scan become manifest entries and rows of the next cache. One worker thread at a time.

As long as nothing differs from the base nothing is written: a tree without a change is the manifest that the vault has.
With the first difference the rows that were passed over are taken from the cache, then those of the scan.
"""

import sqlite3

from tools.agent.batch import Batch, ScanRow
from tools.agent.cache import Cache, CachedRow, pack_extents, row_checksum, unpack_extents
from tools.agent.chunk import PendingChunk
from tools.agent.missed import Missed
from tools.agent.outgoing import Outgoing, RecordMaker
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter, WrittenManifest


class Feed:
    def __init__(self, cut_key: bytes, maker: RecordMaker, cache: Cache, missed: Missed) -> None:
        self._maker = maker
        self._cache = cache
        self._missed = missed
        self._emitted: list[Outgoing] = []
        self._writer = ManifestWriter(cut_key, self._emit)
        self._base_rows = cache.rows()
        self._passed_key = b""
        self._passed = 0
        self._is_writing = cache.base is None

    def add(self, batch: Batch) -> list[Outgoing]:
        """The manifest blocks and companions that were completed. All chunks of the rows have their ids."""
        if not self._is_writing:
            if not batch.gone and all(type(row) is bytes for row in batch.rows):
                self._pass_over(batch)
                return []
            self._begin_writing()
        changed, gone = [], list(batch.gone)
        for row in batch.rows:
            if isinstance(row, bytes):
                self._write_known(self._base_row(row))
                continue
            extents = [(c.id if isinstance(c, PendingChunk) else c, start, length) for c, start, length in row.extents]
            if self._write(row.path, row.prefix, extents, row.extras, row.content_bytes):
                changed.append(_cached(row, extents))
            else:
                gone.append(row.path.replace(b"/", b"\0"))
        if changed or gone:
            self._cache.change(changed, gone)
        return self._taken()

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

    def _begin_writing(self) -> None:
        """Everything up to the last path that was passed over is still in the tree, or this had begun before it."""
        self._is_writing = True
        if not self._passed:
            return
        for row in self._base_rows:
            self._write_known(row)
            if row.key == self._passed_key:
                return

    def _base_row(self, key: bytes) -> CachedRow:
        for row in self._base_rows:
            if row.key == key:
                return row
        raise sqlite3.DatabaseError("a path that was there is missing")

    def _write_known(self, row: CachedRow) -> None:
        if not row.is_whole():
            raise sqlite3.DatabaseError("the checksum of a row is wrong")
        path = row.key.replace(b"\0", b"/")
        self._write(path, row.prefix, unpack_extents(row.extents), row.extras, row.size if row.extents else 0)

    def _write(
        self, path: bytes, prefix: bytes, extents: list[tuple[bytes, int, int]], extras: bytes | None, size: int
    ) -> bool:
        try:
            self._writer.add(path, prefix, extents, extras, size)
        except EntryTooLarge:
            self._missed.add(path, "metadata too large")
            return False
        return True

    def _emit(self, plaintext: bytes, companion_body: bytes) -> bytes:
        block, companion = self._maker.block(plaintext, companion_body)
        self._emitted += (block, companion)
        return block.id

    def _taken(self) -> list[Outgoing]:
        taken, self._emitted = self._emitted, []
        return taken


def _cached(row: ScanRow, extents: list[tuple[bytes, int, int]]) -> CachedRow:
    key = row.path.replace(b"/", b"\0")
    packed = pack_extents(extents)
    checksum = row_checksum(key, row.prefix, packed, row.extras)
    return CachedRow(key, *row.fingerprint, row.prefix, packed, row.extras, checksum)
