"""The tree of the base as its cache has it: rows, and leaves of the manifest. One thread; keys only rise."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence

from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow
from tools.client.manifest import sort_key
from tools.client.manifest_writer import WrittenLeaf


def behind(key: bytes) -> bytes:
    """The first key that can follow."""
    return key + b"\0"


class BaseTree:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._leaves = cache.leaves()
        self._leaf: WrittenLeaf | None = None
        self._is_at_end = False
        self._rows: Iterator[CachedRow] | None = None
        self._gone: deque[bytes] = deque()

    def note_gone(self, keys: Sequence[bytes]) -> None:
        """Of paths that are no more, or have other rows now; before any path behind them is asked for."""
        self._gone += keys

    def row(self, key: bytes) -> CachedRow:
        """sqlite3.DatabaseError where it is not there any more."""
        if self._rows is None:
            self._rows = self._cache.rows(key)
        for row in self._rows:
            if row.key >= key:
                if row.key == key:
                    return row
                break
        raise sqlite3.DatabaseError("a path that was there is missing")

    def rows(self, begin: bytes, end: bytes) -> Iterator[CachedRow]:
        """From one key on and before another one."""
        self._rows = None
        return self._cache.rows(begin, end)

    def leaf_at(self, key: bytes) -> WrittenLeaf | None:
        """One that begins with this path and of which nothing is known to be gone."""
        while (leaf := self._peeked()) is not None and sort_key(leaf.row.first) < key:
            self._leaf = None
        if leaf is None or sort_key(leaf.row.first) != key or self.has_lost(leaf):
            return None
        self._leaf = None
        self._rows = None  # it is to be passed over
        return leaf

    def leaf_before(self, key: bytes) -> WrittenLeaf | None:
        """The next one, if it ends with this path or before it."""
        leaf = self._peeked()
        if leaf is None or sort_key(leaf.row.last) > key:
            return None
        self._leaf = None
        return leaf

    def has_lost(self, leaf: WrittenLeaf) -> bool:
        first, last = sort_key(leaf.row.first), sort_key(leaf.row.last)
        while self._gone and self._gone[0] < first:
            self._gone.popleft()
        return bool(self._gone) and self._gone[0] <= last

    def _peeked(self) -> WrittenLeaf | None:
        if self._leaf is None and not self._is_at_end:
            self._leaf = next(self._leaves, None)
            self._is_at_end = self._leaf is None
        return self._leaf
