"""Rows of the scan become manifest entries and rows of the next cache. One worker thread at a time."""

from tools.agent.batch import Batch, ScanRow
from tools.agent.cache import Cache, CachedRow, pack_extents, row_checksum
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

    def add(self, batch: Batch) -> list[Outgoing]:
        """The manifest blocks and companions that were completed. All chunks of the rows have their ids."""
        changed = []
        for row in batch.rows:
            if row.fingerprint is None:
                self._write(row, row.extents)  # type: ignore[arg-type]
                continue
            extents = [_with_id(extent) for extent in row.extents]
            if self._write(row, extents):
                changed.append(_cached(row, extents))
        if changed or batch.gone:
            self._cache.change(changed, batch.gone)
        return self._taken()

    def finish(self) -> tuple[WrittenManifest, list[Outgoing]]:
        written = self._writer.finish()
        return written, self._taken()

    def _write(self, row: ScanRow, extents: list[tuple[bytes, int, int]]) -> bool:
        try:
            self._writer.add(row.path, row.prefix, extents, row.extras, row.content_bytes)
        except EntryTooLarge:
            self._missed.add(row.path, "metadata too large")
            return False
        return True

    def _emit(self, plaintext: bytes, companion_body: bytes) -> bytes:
        block, companion = self._maker.block(plaintext, companion_body)
        self._emitted += (block, companion)
        return block.id

    def _taken(self) -> list[Outgoing]:
        taken, self._emitted = self._emitted, []
        return taken


def _with_id(extent: tuple[PendingChunk | bytes, int, int]) -> tuple[bytes, int, int]:
    chunk, offset, length = extent
    return (chunk.id if isinstance(chunk, PendingChunk) else chunk), offset, length


def _cached(row: ScanRow, extents: list[tuple[bytes, int, int]]) -> CachedRow:
    assert row.fingerprint is not None
    key = row.path.replace(b"/", b"\0")
    packed = pack_extents(extents)
    checksum = row_checksum(key, row.prefix, packed, row.extras)
    return CachedRow(key, *row.fingerprint, row.prefix, packed, row.extras, checksum)
