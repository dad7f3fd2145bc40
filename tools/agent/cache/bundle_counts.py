"""What the base still needs of each bundle, and which of them a run makes anew.

Files leave a bundle one by one as they change, and each run with a small change makes a small bundle. So a run reads
some unchanged files again and puts them into new bundles: those of bundles of which less than half is needed, the worst
first, then those of many small ones, within a share of all bundled bytes. It comes to rest: what a run made anew or
left is not chosen again before it has lost something, or is small among enough small ones that are new.

The counts are rows beside those of the cache and of the same safeset; they are kept up with each changed row, inside
the run's transaction, and made again from all rows where they are of another safeset. Only a help, as the cache is.
Threads: one at a time; `chosen` does not change while a run reads.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TypeVar

from tools.agent.cache.cached_row import CachedRow, hash_number
from tools.agent.chunks.extent_list import PACKED_EXTENT_BYTES, unpack_extents
from tools.client.chunker import BUNDLE_MIN_BYTES, CUT_FROM_BYTES

# Of all bytes in bundles, which are a part of the job's; so little is always allowed that a small job is not stuck.
REMADE_SHARE = 50
REMADE_BYTES_MIN = 4 * 1024 * 1024
# A bundle of which less is needed is small, and merged when so many of them are there that no run has left so.
SMALL_BYTES = BUNDLE_MIN_BYTES
FRESH_SMALL_MIN = 8
_CHOSEN_MAX = 65_536

_PARTS_AT_ONCE = 200
_UPSERTS_AT_ONCE = 1024
_ID_BYTES = 32

# `size` is what is known of it: of a bundle that an older program made, how far its known parts reach. `live`: the
# parts that any file has, each once. `reads`: the sizes of all these files. `settled`: what `live` was when a run that
# made bundles anew made or left it; -1 as long as that run lasts.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bundles (
    id BLOB PRIMARY KEY, size INTEGER, live INTEGER, reads INTEGER, settled INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (root_hash BLOB);
"""
_ADD = """
INSERT INTO bundles VALUES (?,?,?,?,?) ON CONFLICT (id) DO UPDATE
SET size = max(size, excluded.size), live = live + excluded.live, reads = reads + excluded.reads
"""
_ALL_PARTS = f"""
SELECT extents, count(*) FROM rows WHERE length(extents) = {PACKED_EXTENT_BYTES} GROUP BY extents ORDER BY extents
"""
_AGED = "SELECT id, live, reads FROM bundles WHERE live * 2 < size AND live != settled ORDER BY live * 1.0 / size, id"
_SMALL = "SELECT id, live, reads, live != settled FROM bundles WHERE live < ? ORDER BY live = settled, live, id"

_Part = tuple[int, bytes]
"""The number of a content's hash, as the rows have it, and the packed extent."""
_Item = TypeVar("_Item")


class BundleCounts:
    def __init__(self, writer: sqlite3.Connection) -> None:
        """`writer` is the cache's, whose run is its transaction."""
        self.chosen: frozenset[bytes] = frozenset()
        self._writer = writer
        self._is_counted = False
        writer.executescript(_SCHEMA)

    def choose(self, base_hash: bytes) -> None:
        """Which bundles this run makes anew; before its transaction begins."""
        if self._writer.execute("SELECT root_hash FROM counted").fetchall() != [(base_hash,)]:
            self._writer.execute("BEGIN IMMEDIATE")
            self._count_all()
            self._say_counted(base_hash)
            self._writer.execute("COMMIT")
        self._is_counted = True
        (bundled_bytes,) = self._writer.execute("SELECT total(live) FROM bundles").fetchone()
        budget = _Budget(max(REMADE_BYTES_MIN, int(bundled_bytes) // REMADE_SHARE))
        for id, live, reads in self._writer.execute(_AGED):
            budget.take(id, live, reads)
        self._choose_small(budget)
        self.chosen = frozenset(budget.taken)

    def _choose_small(self, budget: "_Budget") -> None:
        """One that was left by a run joins when those that are chosen hold as much: so nothing moves many times."""
        small = self._writer.execute(_SMALL, (SMALL_BYTES,)).fetchmany(_CHOSEN_MAX)
        small = [bundle for bundle in small if bundle[0] not in budget.taken]
        if sum(is_fresh for *_, is_fresh in small) < FRESH_SMALL_MIN:
            return
        for id, live, reads, is_fresh in small:
            if is_fresh or live <= budget.live_bytes:
                budget.take(id, live, reads)

    @contextmanager
    def changing(
        self, rows: Sequence[CachedRow], gone: Sequence[bytes], made: Sequence[tuple[bytes, int]]
    ) -> Iterator[None]:
        """Around a change of the cache's rows; `made`: ids and sizes of bundles of this run."""
        settled = -1 if self.chosen else 0
        self._writer.executemany(_ADD, [(id, size, 0, 0, settled) for id, size in made])
        if not self._is_counted:
            yield
            return
        left = self._parts_of([row.key for row in rows] + list(gone))
        taken = [(hash_number(row.content_hash), row.extents) for row in rows if _is_part(row.extents)]
        touched = list(dict.fromkeys(left + taken))
        before = self._existing(touched)
        yield
        after = self._existing(touched)
        self._add_changes(left, taken, before, after)

    def commit(self, root_hash: bytes) -> None:
        """The counts are of this safeset from now on."""
        if not self._is_counted:
            self._count_all()
        self._writer.execute("DELETE FROM bundles WHERE live <= 0")
        self._writer.execute("UPDATE bundles SET settled = live WHERE settled = -1")
        self._writer.executemany("UPDATE bundles SET settled = live WHERE id = ?", [(id,) for id in self.chosen])
        self._say_counted(root_hash)
        self._is_counted = False
        self.chosen = frozenset()

    def _say_counted(self, root_hash: bytes) -> None:
        self._writer.execute("DELETE FROM counted")
        self._writer.execute("INSERT INTO counted VALUES (?)", (root_hash,))

    def _count_all(self) -> None:
        """Sorted by extents, so that the parts of a bundle come together: memory holds some bundles and no files."""
        self._writer.execute("UPDATE bundles SET live = 0, reads = 0")
        found = self._writer.execute(_ALL_PARTS)
        bundles: list[tuple[bytes, int, int, int, int]] = []
        for id, parts in groupby(found, lambda part: part[0][:_ID_BYTES]):
            size = live = reads = 0
            for extents, count in parts:
                if _is_part(extents):
                    ((_, offset, length),) = unpack_extents(extents)
                    size, live, reads = max(size, offset + length), live + length, reads + length * count
            bundles.append((id, size, live, reads, 0))
            if len(bundles) >= _UPSERTS_AT_ONCE:
                self._writer.executemany(_ADD, bundles)
                bundles.clear()
        self._writer.executemany(_ADD, bundles)
        self._writer.execute("DELETE FROM bundles WHERE live <= 0")

    def _parts_of(self, keys: Sequence[bytes]) -> list[_Part]:
        found: list[_Part] = []
        for some in _slices(keys):
            places = ",".join("?" * len(some))
            query = f"SELECT hash, extents FROM rows WHERE key IN ({places})"
            found += [part for part in self._writer.execute(query, some) if _is_part(part[1])]
        return found

    def _existing(self, parts: Sequence[_Part]) -> set[_Part]:
        """Those of which the cache has a row; found by hash, so that many copies of a file cost one look."""
        found: set[_Part] = set()
        for some in _slices(parts):
            values = ",".join(["(?,?)"] * len(some))
            query = f"""
            WITH parts (number, part) AS (VALUES {values}) SELECT number, part FROM parts
            WHERE EXISTS (SELECT 1 FROM rows WHERE hash = number AND extents = part)
            """
            found.update(self._writer.execute(query, [value for part in some for value in part]))
        return found

    def _add_changes(
        self, left: Sequence[_Part], taken: Sequence[_Part], before: set[_Part], after: set[_Part]
    ) -> None:
        changes: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0, 0])
        for live, reads, parts in ((0, -1, left), (0, 1, taken), (-1, 0, before - after), (1, 0, after - before)):
            for _, extents in parts:
                ((id, offset, length),) = unpack_extents(extents)
                change = changes[id]
                change[0] = max(change[0], offset + length)
                change[1] += live * length
                change[2] += reads * length
        self._writer.executemany(_ADD, [(id, *change, 0) for id, change in changes.items()])


class _Budget:
    """Bundles that are chosen, as long as what is read for them stays within a bound."""

    def __init__(self, bytes_max: int) -> None:
        self.taken: set[bytes] = set()
        self.live_bytes = 0
        self._left_bytes = bytes_max

    def take(self, id: bytes, live: int, reads: int) -> None:
        if reads <= self._left_bytes and len(self.taken) < _CHOSEN_MAX:
            self.taken.add(id)
            self.live_bytes += live
            self._left_bytes -= reads


def _is_part(extents: bytes) -> bool:
    """Whether they are one part of a bundle: whole chunks of large files neither age nor merge."""
    return len(extents) == PACKED_EXTENT_BYTES and unpack_extents(extents)[0][2] < CUT_FROM_BYTES


def _slices(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _PARTS_AT_ONCE):
        yield items[start : start + _PARTS_AT_ONCE]
