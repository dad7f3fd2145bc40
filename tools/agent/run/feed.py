"""Rows of the scan become manifest entries and rows of the next cache. One worker thread at a time.

As long as nothing differs from the base nothing is written: a tree without a change is the manifest that the vault has.
With the first difference the rows that were passed over are taken from the cache, then those of the scan.
"""

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum
from tools.agent.chunks.extent_list import unpack_extents
from tools.agent.missed import Missed
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.batch import Batch, ScanRow
from tools.agent.upload.outgoing import Outgoing, RecordMaker
from tools.client.entry_packer import kind_of
from tools.client.extras_parts import extras_parts, hole_bytes
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter, WrittenManifest

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


class Feed:
    def __init__(
        self, cut_key: bytes, maker: RecordMaker, cache: Cache, missed: Missed, journal: RunJournal
    ) -> None:
        self._maker = maker
        self._cache = cache
        self._journal = journal
        self._missed = missed
        self._emitted: list[Outgoing] = []
        self._emitted_bytes = 0
        self._writer = ManifestWriter(cut_key, self._emit)
        self._base_rows = cache.rows()
        self._passed_key = b""
        self._passed = 0
        self._kinds: Counter[int] = Counter()
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
        for row in batch.rows:
            if isinstance(row, bytes):
                yield from self._write_known(self._base_row(row))
                continue
            key = row.path.replace(b"/", b"\0")
            parts = row.extent_parts()
            first = next(parts, b"")
            further = yield from self._write(
                row.path, row.prefix, first, self._keep(key, parts), row.extras, row.content_bytes
            )
            if further is None:
                gone.append(key)
            else:
                changed.append(_cached(row, key, first, further))
        if changed or gone or batch.bundles:
            self._cache.change(changed, gone, [(bundle.id, bundle.size_bytes) for bundle in batch.bundles])
            self._journal.add_rows(changed)
        if self._emitted:
            yield self._taken()

    def finish(self) -> tuple[WrittenManifest, list[Outgoing]]:
        base = self._cache.base
        if not self._is_writing and base is not None:
            return WrittenManifest(base.top_block, base.top_companion, base.level, self._passed, 0), []
        written = self._writer.finish()
        return written, self._taken()

    def so_far(self) -> SoFar | None:
        """None while nothing differs from the base. Between two batches, so that no path is in it by half."""
        if not self._kinds:
            return None
        blocks: list[Outgoing] = []

        def emit(plaintext: bytes, companion_body: bytes) -> bytes:
            block, companion = self._maker.block(plaintext, companion_body)
            blocks.extend((block, companion))
            return block.id

        return SoFar(self._writer.fork(emit).finish(), blocks, self._kinds.copy())

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
        further = self._cache.further_extents(row)
        yield from self._write(path, row.prefix, row.extents, further, row.extras, _content_bytes(row))

    def _keep(self, key: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Passes the extents on that follow the first part of a path, each part when the cache has it."""
        for number, part in enumerate(parts, 1):
            self._cache.add_extents(key, number, part)
            self._journal.add_extents(key, number, part)
            yield part

    def _write(
        self, path: bytes, prefix: bytes, first: bytes, further: Iterator[bytes], extras: bytes | None, size: int
    ) -> _Steps[int | None]:
        """How many parts followed the first; None when no block could hold the path."""
        *leading, last = [None] if extras is None else extras_parts(extras)
        try:
            if leading:
                self._writer.add(path, prefix, (), leading[0], size)
                for part in leading[1:]:
                    self._writer.go_on(path, prefix, (), part)
                self._writer.go_on(path, prefix, unpack_extents(first), last)
            else:
                self._writer.add(path, prefix, unpack_extents(first), last, size)
        except EntryTooLarge:
            self._missed.add(path, "metadata too large")
            return None
        self._kinds[kind_of(path, prefix)] += 1
        count = 0
        for part in further:
            count += 1
            self._writer.go_on(path, prefix, unpack_extents(part))
            if self._emitted_bytes >= _STEP_BYTES:
                yield self._taken()
        if self._emitted_bytes >= _STEP_BYTES:
            yield self._taken()
        return count

    def _emit(self, plaintext: bytes, companion_body: bytes) -> bytes:
        block, companion = self._maker.block(plaintext, companion_body)
        self._emitted += (block, companion)
        self._emitted_bytes += len(block.content) + len(companion.content)
        return block.id

    def _taken(self) -> list[Outgoing]:
        taken, self._emitted, self._emitted_bytes = self._emitted, [], 0
        return taken


def _content_bytes(row: CachedRow) -> int:
    """The size in its entry, which is 0 of all but files."""
    return row.size if row.extents else hole_bytes(row.extras)


def _cached(row: ScanRow, key: bytes, extents: bytes, further: int) -> CachedRow:
    checksum = row_checksum(key, row.prefix, extents, row.extras, further)
    return CachedRow(key, *row.fingerprint, row.prefix, extents, further, row.extras, checksum)
