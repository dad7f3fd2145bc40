"""Leaves of the base's manifest that a run adds as they are, where it finds each of their paths unchanged.

Rows beside those of the cache, of the manifest whose top block stands with them: of another one they say nothing. Only
a help, as the cache is. Threads: that which feeds the manifest.
"""

import sqlite3
import struct
import zlib
from collections import Counter
from collections.abc import Iterator

from tools.client.manifest import Row, sort_key
from tools.client.manifest_writer import WrittenLeaf

_READ_LEAVES = 256
_SCHEMA = """
CREATE TABLE IF NOT EXISTS leaves (
    first BLOB PRIMARY KEY, last BLOB, block BLOB, companion BLOB, entries INTEGER, content_bytes INTEGER, kinds BLOB,
    checksum INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leaves_of (top_block BLOB);
"""
# In the order of a scan, which is that of the keys of rows.
_ALL = "SELECT * FROM leaves ORDER BY first"
_KIND = struct.Struct("<BQ")
_NUMBERS = struct.Struct("<QQ")


class KnownLeaves:
    def __init__(self, writer: sqlite3.Connection) -> None:
        """`writer` is the cache's, whose run is its transaction."""
        self._writer = writer
        self._is_anew = False
        writer.executescript(_SCHEMA)

    def read(self, reader: sqlite3.Connection, top_block: bytes) -> Iterator[WrittenLeaf]:
        """Of the manifest with this top block, in scan order; sqlite3.DatabaseError when one is not as it was."""
        if reader.execute("SELECT top_block FROM leaves_of").fetchall() != [(top_block,)]:
            return
        cursor = reader.execute(_ALL)
        while found := cursor.fetchmany(_READ_LEAVES):
            for first, last, block, companion, entries, content_bytes, kinds, checksum in found:
                row = Row(_path(first), _path(last), block, companion, entries, content_bytes)
                leaf = WrittenLeaf(row, _unpacked(kinds))
                if checksum != _checksum(leaf):
                    raise sqlite3.DatabaseError("a leaf that is known is damaged")
                yield leaf

    def add(self, leaf: WrittenLeaf) -> None:
        """Of the manifest that this run writes, inside its transaction; the first one ends those of the base."""
        if not self._is_anew:
            self._is_anew = True
            self._writer.execute("DELETE FROM leaves")
            self._writer.execute("DELETE FROM leaves_of")
        row, kinds = leaf
        keys = sort_key(row.first), sort_key(row.last)
        values = *keys, row.block, row.companion, row.entries, row.content_bytes, _packed(kinds), _checksum(leaf)
        self._writer.execute("INSERT INTO leaves VALUES (?,?,?,?,?,?,?,?)", values)

    def commit(self, top_block: bytes) -> None:
        """Those that were added are of this manifest."""
        if self._is_anew:
            self._writer.execute("INSERT INTO leaves_of VALUES (?)", (top_block,))
            self._is_anew = False


def _path(key: bytes) -> bytes:
    return key.replace(b"\0", b"/")


def _packed(kinds: Counter[int]) -> bytes:
    return b"".join(_KIND.pack(kind, count) for kind, count in sorted(kinds.items()))


def _unpacked(kinds: bytes) -> Counter[int]:
    return Counter(dict(_KIND.iter_unpack(kinds)))


def _checksum(leaf: WrittenLeaf) -> int:
    row = leaf.row
    numbers = _NUMBERS.pack(row.entries, row.content_bytes)
    pieces = sort_key(row.first), sort_key(row.last), row.block, row.companion, numbers, _packed(leaf.kinds)
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return checksum
