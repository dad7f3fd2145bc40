"""Reads what is new of a file and cuts it: small ones into bundles, large ones by content, holes left out."""

import os
from collections import OrderedDict
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from tools.agent.cache.cache import Cache
from tools.agent.chunks.extent_list import ChunkList
from tools.agent.scan.batch import Extents
from tools.agent.scan.content import (
    ATTEMPTS_MAX,
    SIZELESS_BYTES_MAX,
    LargeFile,
    is_same,
    read_sizeless,
    read_small,
    read_stretches,
)
from tools.agent.scan.outbox import Outbox
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.system.holes import Layout, Stretch, find_layout, may_have_holes
from tools.client.chunker import CUT_FROM_BYTES, FileCutter

# Contents of this run that a later file may share; a duplicate farther away is found as a chunk at the latest.
_SHARED_CONTENTS_MAX = 16_384


class Content(NamedTuple):
    """`size_bytes` with holes; `hash` is of what the extents give."""

    hash: bytes | None
    extents: Extents
    status: os.stat_result
    size_bytes: int
    is_changed: bool
    holes: list[Stretch]


Steps = Generator[bool, None, Content]
"""Yields whenever the batch is full."""


class FileReader:
    """`directory` is the agent's own: lists of large files wait there. For one thread."""

    def __init__(
        self, cache: Cache, hash_key: bytes, cutter: FileCutter, outbox: Outbox, figures: ScanFigures, directory: Path
    ) -> None:
        self._cache = cache
        self._hash_key = hash_key
        self._cutter = cutter
        self._outbox = outbox
        self._figures = figures
        self._directory = directory
        self._shared: OrderedDict[bytes, Extents] = OrderedDict()

    def read(self, descriptor: int, status: os.stat_result) -> Steps:
        if status.st_size == 0 and os.read(descriptor, 1):
            status = os.fstat(descriptor)
            if status.st_size == 0:
                return (yield from self._read_sizeless(descriptor, status))
            os.lseek(descriptor, 0, os.SEEK_SET)
        if may_have_holes(status):
            return (yield from self._read_sparse(descriptor, status))
        if status.st_size < CUT_FROM_BYTES:
            return self.read_small(descriptor, status)
        return (yield from self._read_large(descriptor, status))

    def read_small(self, descriptor: int, status: os.stat_result) -> Content:
        return self._bundled(*read_small(descriptor, status))

    def _read_sizeless(self, descriptor: int, before: os.stat_result) -> Steps:
        content = read_sizeless(descriptor, CUT_FROM_BYTES)
        if len(content) == CUT_FROM_BYTES:
            return (yield from self._read_large(descriptor, before, SIZELESS_BYTES_MAX))
        after = os.fstat(descriptor)
        return self._bundled(content, after, not is_same(before, after))

    def _read_sparse(self, descriptor: int, before: os.stat_result) -> Steps:
        for attempt in range(ATTEMPTS_MAX):
            layout = find_layout(descriptor, before.st_size)
            if layout.data_bytes >= CUT_FROM_BYTES:
                return (yield from self._read_large(descriptor, before))
            content, end = read_stretches(descriptor, layout.data)
            after = os.fstat(descriptor)
            is_changed = len(content) != layout.data_bytes or not is_same(before, after)
            if not is_changed or attempt + 1 == ATTEMPTS_MAX:
                break
            before = after
        return self._bundled(content, after, is_changed, layout.holes_before(_reach(end, layout, before)))

    def _bundled(
        self, content: bytes, status: os.stat_result, is_changed: bool, holes: list[Stretch] | None = None
    ) -> Content:
        self._figures.bytes_read += len(content)
        holes = holes or []
        size_bytes = len(content) + sum(length for _, length in holes)
        if not content:
            return Content(None, (), status, size_bytes, is_changed, holes)
        hash = blake3(content, key=self._hash_key).digest()
        extents: Extents = self._shared.get(hash) or self._cache.find_content(hash)
        if not extents:
            extents = [self._outbox.bundle(content, hash)]
            self._share(hash, extents)
        return Content(hash, extents, status, size_bytes, is_changed, holes)

    def _read_large(self, descriptor: int, before: os.stat_result, sizeless_bytes_max: int | None = None) -> Steps:
        before_bytes = self._figures.protected_bytes
        try:
            for attempt in range(ATTEMPTS_MAX):
                layout = find_layout(descriptor, before.st_size) if may_have_holes(before) else None
                large = LargeFile(
                    descriptor, self._hash_key, self._cutter, sizeless_bytes_max, layout and layout.data
                )
                extents = yield from self._hand_over(large, before_bytes)
                self._figures.bytes_read += large.size_bytes
                # What lies where was looked at before: a write in between is a change too.
                is_changed = large.is_changed or not is_same(before, large.before)
                if not is_changed or attempt + 1 == ATTEMPTS_MAX:
                    break
                before = large.status
                extents.close()
        finally:
            self._figures.protected_bytes = before_bytes
        holes = layout.holes_before(_reach(large.end, layout, large.before)) if layout else []
        size_bytes = large.size_bytes + sum(length for _, length in holes)
        hash = large.hash if large.size_bytes else None
        return Content(hash, extents, large.status, size_bytes, is_changed, holes)

    def _hand_over(self, large: LargeFile, before_bytes: int) -> Generator[bool, None, ChunkList]:
        """What was read counts as protected until the file itself does, so that whoever waits sees it move; not where
        other names of the file may have counted already."""
        figures = self._figures
        extents = ChunkList(self._directory)
        handed_bytes = 0
        for chunk in large:
            extents.add(chunk)
            is_full = self._outbox.add_chunk(chunk)
            handed_bytes += chunk.size_bytes
            if large.status.st_nlink == 1:
                figures.protected_bytes = max(figures.protected_bytes, before_bytes + handed_bytes)
            if is_full:
                yield True
        return extents

    def _share(self, hash: bytes, extents: Extents) -> None:
        self._shared[hash] = extents
        if len(self._shared) > _SHARED_CONTENTS_MAX:
            self._shared.popitem(last=False)


def _reach(end: int, layout: Layout, status: os.stat_result) -> int:
    """How far the file is known: holes behind the last data count only where all data came."""
    is_whole = not layout.data or end == sum(layout.data[-1])
    return status.st_size if is_whole else end
