"""Unchanged files whose bundle is made anew: they are read again and keep their rows but for the place of the content.

Housekeeping loses nothing: what cannot be read now, or changes meanwhile, stays where it is. For the scanning thread.
"""

import os
from collections.abc import Generator

from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow
from tools.agent.chunks.extent_list import held_bytes
from tools.agent.scan.batch import ScanRow
from tools.agent.scan.content import open_found
from tools.agent.scan.fingerprint import Fingerprint, signed_inode
from tools.agent.scan.link_sets import LinkSets
from tools.agent.scan.read_file import Content, FileReader
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.scan.walk import Found


class Remake:
    """Keys are asked for in scan order."""

    def __init__(self, cache: Cache, reader: FileReader, figures: ScanFigures, link_key: bytes) -> None:
        self._rows = cache.rows_to_remake()
        self._reader = reader
        self._figures = figures
        self._links: LinkSets[Content] = LinkSets(link_key)
        self._row: CachedRow | None = None
        self._is_begun = False

    def wants(self, key: bytes) -> bool:
        if not self._is_begun:
            self._is_begun = True
            self._row = next(self._rows, None)
        while self._row is not None and self._row.key < key:
            self._row = next(self._rows, None)
        return self._row is not None and self._row.key == key

    def row(self, found: Found) -> Generator[bool, None, ScanRow | bytes | None]:
        """Of the path that `wants` was asked for: its row with the content elsewhere, its key where all stays as it is,
        None where the content is another one although no time of it moved.
        """
        row = self._row
        assert row is not None
        if _fingerprint(found.status) != row[1:5] or not row.is_whole():
            return row.key
        try:
            content = self._links.find(found.status) or (yield from self._read(found))
        except OSError:
            return row.key
        if content.is_changed or _fingerprint(content.status) != row[1:5]:
            return row.key
        if content.hash != row.content_hash:
            return None
        fingerprint = Fingerprint._make(row[1:5])
        return ScanRow(found.path, row.prefix, content.extents, row.extras, content.size_bytes, fingerprint)

    def _read(self, found: Found) -> Generator[bool, None, Content]:
        descriptor, status = open_found(found)
        before_bytes = self._figures.bytes_read
        try:
            content = yield from self._reader.read(descriptor, status)
        finally:
            os.close(descriptor)
            self._figures.remade_bytes += self._figures.bytes_read - before_bytes
        if not content.is_changed:
            self._links.note(content.status, content, held_bytes(content.extents))
        return content


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, signed_inode(status.st_ino))
