"""What the last safeset said about each path, so that an unchanged file costs no reading and no packing.

Only a help: it belongs to one safeset (keyring, generation, id key, job, timeline, root hash) and is dropped when it is
of another id key, or damaged. Where the vault does not know its safeset, or the keyring has another generation now, it
is unbound: its rows stay, once the vault was asked for all that they name (`unbound_rows.py`). Every row carries a
checksum, because its extents go into a manifest as they are.

Where it cannot be written, on a full disk for example, a run goes on without: `failure` says why, what the run has
written is given back to the disk, and the base stays as it is. An error of reading a base ends the run, because the
manifest is made from it; then the cache is dropped and the next run reads everything. Whatever the bytes of the file
are, such an error is a `sqlite3.Error`: damage turns a column into another type, or a message of SQLite into no text.

Threads: the scanning thread reads `known_paths`, `find_content` and `holds`; the thread that feeds the manifest reads
`rows` and writes. The writes of a run are one transaction of their own connection; readers see the base until it is
committed.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tools.agent.cache.belonging import Base, Belonging
from tools.agent.cache.bundle_counts import BundleCounts
from tools.agent.cache.cache_base import SCHEMA, UNBOUND, load_base, save_base
from tools.agent.cache.cached_row import HASH_BYTES, CachedRow, KnownPath, hash_number, part_checksum
from tools.agent.cache.damage import as_damage
from tools.agent.cache.known_leaves import KnownLeaves
from tools.agent.cache.resumed_rows import end_rows, fold, forget_lost, make_tables, show_known
from tools.agent.chunks.extent_list import PACKED_EXTENT_BYTES, IdentifiedExtent, unpack_extents
from tools.client.extras_parts import first_extras
from tools.client.manifest import Extra
from tools.client.manifest_writer import WrittenLeaf

_READ_ROWS = 1024
# With their extents: those of one row are 320 KiB at most, those that follow are read when they are needed.
_REPLAYED_ROWS = 64
_CACHE_KIB = 8192
_CHILDREN_MAX = 256
# A run writes rows in order and a scan reads them in order: fewer and larger pages are fewer system calls.
_PAGE_BYTES = 16_384
_PRIMARY_CODE = 0xFF
_CODES_OF_THE_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_OF_LINKS = (Extra.LINK_SET, Extra.NAMES)

_SCHEMA = """
CREATE TABLE rows (
    key BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    prefix BLOB, extents BLOB, further INTEGER, extras BLOB, checksum INTEGER, hash INTEGER
) WITHOUT ROWID;
CREATE TABLE further_extents (
    key BLOB, number INTEGER, extents BLOB, checksum INTEGER, PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""
_CONTENTS = "CREATE INDEX IF NOT EXISTS contents ON rows (hash) WHERE hash IS NOT NULL"
_COLUMNS = "key, size, mtime_ns, ctime_ns, inode, prefix, extents, further, extras, checksum"
_CHOSEN = f"length(extents) = {PACKED_EXTENT_BYTES} AND substr(extents, 1, 32) IN (SELECT id FROM temp.chosen)"
_INSERT = f"INSERT OR REPLACE INTO {{}} ({_COLUMNS}, hash) VALUES "
_PLACES = "(?,?,?,?,?,?,?,?,?,?,?)"
# Rows of one statement. Each statement lets other threads run, and taking the turn back costs more than a row.
_WRITTEN_ROWS = 64


class Cache:
    """`is_unbound`: its rows are of no safeset that the vault has; it was, or is to be, asked for each of their ids."""

    def __init__(self, path: Path, belonging: Belonging) -> None:
        self._path = path
        self._belonging = belonging
        self.base: Base | None = None
        self.failure: Exception | None = None
        self.is_resumed = False
        self.is_unbound = False
        self._known = "rows"
        # Without any, a changed path costs no look for those that it leaves behind.
        self._has_further = False
        self._open()

    def _open(self) -> None:
        try:
            self._connect()
            self.base = self._load_base()
        except Exception:
            self.drop()

    def _connect(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self._writer = self._connection()
        self._writer.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._writer.execute("PRAGMA journal_mode = WAL")
        if not self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._writer.executescript(SCHEMA + _SCHEMA)
        self.bundles = BundleCounts(self._writer)
        self._leaves = KnownLeaves(self._writer)
        self._reader = self._connection()
        self._finder = self._connection()
        self._replayer = self._connection()

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _load_base(self) -> Base | None:
        base = load_base(self._writer, self._belonging)
        if base is None and self._writer.execute("SELECT count(*) FROM belongs").fetchone()[0]:
            self.drop()
        self.is_unbound = base == UNBOUND
        return None if self.is_unbound else base

    def drop(self) -> None:
        """Begins with an empty one, or goes on without."""
        self.close()
        self.base = self.failure = None
        self.is_resumed = self.is_unbound = False
        self._known = "rows"
        try:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connect()
        except (sqlite3.Error, OSError) as error:
            self.close()
            self.failure = error

    def close(self) -> None:
        for name in ("_replayer", "_finder", "_reader", "_writer"):
            connection = getattr(self, name, None)
            if connection is not None:
                connection.close()

    @property
    def has_rows(self) -> bool:
        """Whether anything is known of any path."""
        return self.base is not None or self.is_resumed or self.is_unbound

    # Rows of a safeset that the vault does not have, before the run begins that uses them. One thread at a time.

    def unbind(self) -> None:
        """The vault does not know its safeset."""
        self.is_unbound = self.is_unbound or self.base is not None
        self.base = None

    def begin_forgetting(self) -> None:
        if self.failure is None:
            with self._until_it_fails():
                self._writer.execute("BEGIN IMMEDIATE")

    def forget(self, keys: Sequence[bytes]) -> None:
        """Something that they need is not at the vault."""
        if self.failure is None:
            with self._until_it_fails():
                for table in ("rows", "further_extents"):
                    self._writer.executemany(f"DELETE FROM {table} WHERE key = ?", ((key,) for key in keys))

    def end_forgetting(self) -> None:
        """What is left is of no safeset from now on. Where that cannot be written nothing is known."""
        if self.failure is None:
            with self._until_it_fails():
                save_base(self._writer, self._belonging, UNBOUND)
                self._writer.execute("COMMIT")
        self.is_unbound = self.failure is None

    # What a run that was broken off had acknowledged, before the run begins that goes on with it. One thread at a time.

    def begin_resumed(self) -> None:
        if self.failure is None:
            with self._until_it_fails():
                self._writer.execute("BEGIN IMMEDIATE")
                make_tables(self._writer)

    def add_resumed(self, rows: Sequence[CachedRow], lost: Sequence[bytes]) -> None:
        """Later rows of a path take the place of earlier ones; the paths of `lost` are known no more."""
        if self.failure is None:
            with self._until_it_fails():
                self._insert("resumed", rows)
                for key in lost:
                    forget_lost(self._writer, key)

    def add_resumed_extents(self, key: bytes, number: int, extents: bytes) -> None:
        if self.failure is None:
            values = key, number, extents, part_checksum(key, number, extents)
            with self._until_it_fails():
                self._writer.execute("INSERT OR REPLACE INTO resumed_extents VALUES (?,?,?,?)", values)

    def end_resumed(self) -> None:
        if self.failure is None:
            with self._until_it_fails():
                end_rows(self._writer)
                self._writer.execute("COMMIT")
                for reader in (self._reader, self._finder, self._replayer):
                    show_known(reader)
                self.is_resumed, self._known = True, "known"

    # Reading: scanning thread.

    def known_paths(self) -> Iterator[KnownPath]:
        """All paths in scan order, read one batch at a time."""
        if not self.has_rows:
            return
        with as_damage():
            query = f"SELECT key, size, mtime_ns, ctime_ns, inode FROM {self._known} ORDER BY key"
            cursor = self._reader.execute(query)
            while batch := cursor.fetchmany(_READ_ROWS):
                if not all(type(known[0]) is bytes for known in batch):
                    raise sqlite3.DatabaseError("a path is of another type")
                yield from batch

    def find_content(self, hash: bytes) -> Sequence[IdentifiedExtent]:
        """The extents of a known file with this content; none when there is none but in bundles made anew."""
        return self._find_content(hash) if self.has_rows else []

    @as_damage()
    def _find_content(self, hash: bytes) -> Sequence[IdentifiedExtent]:
        query = f"SELECT {_COLUMNS} FROM {self._known} WHERE hash = ?"
        for found in self._finder.execute(query, (hash_number(hash),)):
            row = CachedRow._make(found)
            if row.content_hash == hash and row.is_whole() and row.extents[:HASH_BYTES] not in self.bundles.chosen:
                return unpack_extents(row.extents)
        return []

    @as_damage()
    def holds(self, path: bytes, is_below_only: bool) -> bool:
        """Whether something below a path is known or, unless only that is asked for, the path itself."""
        if not self.has_rows:
            return False
        key = path.replace(b"/", b"\0")
        below = "key > ?" if not key else "key > ? AND key < ?"
        bounds = (key,) if not key else (key + b"\0", key + b"\1")
        if self._finder.execute(f"SELECT 1 FROM {self._known} WHERE {below} LIMIT 1", bounds).fetchone():
            return True
        itself = f"SELECT 1 FROM {self._known} WHERE key = ?"
        return not is_below_only and bool(self._finder.execute(itself, (key,)).fetchone())

    @as_damage()
    def has_extras(self, key: bytes, expected: dict[int, Any]) -> bool:
        """Whether the base says just this of a path's link set and names."""
        found = self._finder.execute(f"SELECT {_COLUMNS} FROM {self._known} WHERE key = ?", (key,)).fetchone()
        if found is None or not (row := CachedRow._make(found)).is_whole():
            return False
        first = first_extras(row.extras)
        return {number: first[number] for number in _OF_LINKS if number in first} == expected

    def rows_to_remake(self) -> Iterator[CachedRow]:
        """Of the base, in scan order: those of files in bundles that this run makes anew."""
        if self.base is None or not self.bundles.chosen:
            return
        with as_damage():
            self._finder.execute("CREATE TEMP TABLE chosen (id BLOB PRIMARY KEY) WITHOUT ROWID")
            self._finder.executemany("INSERT INTO chosen VALUES (?)", ((id,) for id in self.bundles.chosen))
            cursor = self._finder.execute(f"SELECT {_COLUMNS} FROM rows WHERE {_CHOSEN} ORDER BY key")
            while batch := cursor.fetchmany(_REPLAYED_ROWS):
                yield from map(CachedRow._make, batch)

    @as_damage()
    def children(self, path: bytes) -> list[bytes]:
        """The first names that are known directly in a directory."""
        if not self.has_rows:
            return []
        prefix = path.replace(b"/", b"\0") + b"\0" if path else b""
        names: list[bytes] = []
        start = prefix
        while len(names) < _CHILDREN_MAX:
            query = f"SELECT key FROM {self._known} WHERE key > ? AND key >= ? ORDER BY key LIMIT 1"
            found = self._finder.execute(query, (prefix, start)).fetchone()
            if found is None or not found[0].startswith(prefix):
                break
            name = found[0][len(prefix) :].partition(b"\0")[0]
            names.append(name)
            start = prefix + name + b"\1"
        return names

    # The thread that feeds the manifest.

    def rows(self, begin: bytes = b"", end: bytes | None = None) -> Iterator[CachedRow]:
        """From one key on and before another one, in scan order, read one batch at a time."""
        if not self.has_rows:
            return
        bounds, values = ("key >= ?", (begin,)) if end is None else ("key >= ? AND key < ?", (begin, end))
        with as_damage():
            cursor = self._replayer.execute(f"SELECT {_COLUMNS} FROM {self._known} WHERE {bounds} ORDER BY key", values)
            while batch := cursor.fetchmany(_REPLAYED_ROWS):
                yield from map(CachedRow._make, batch)

    def leaves(self) -> Iterator[WrittenLeaf]:
        """Those of the base's manifest that are known, in scan order."""
        if self.base is not None and not self.is_resumed:
            with as_damage():
                yield from self._leaves.read(self._replayer, self.base.top_block)

    def add_leaf(self, leaf: WrittenLeaf) -> None:
        """Of the manifest that is being written, inside the run's transaction."""
        if self.failure is None:
            with self._until_it_fails():
                self._leaves.add(leaf)

    def further_extents(self, row: CachedRow) -> Iterator[bytes]:
        """What follows the first part of a row's extents; sqlite3.DatabaseError when it is not as it was written."""
        with as_damage():
            for number in range(1, row.further + 1):
                found = self._further_part("resumed_extents", row, number) if self.is_resumed else None
                found = found or self._further_part("further_extents", row, number)
                if found is None or found[1] != part_checksum(row.key, number, found[0]):
                    raise sqlite3.DatabaseError("the extents of a large file are damaged")
                yield found[0]

    def _further_part(self, table: str, row: CachedRow, number: int) -> tuple[bytes, int] | None:
        query = f"SELECT extents, checksum FROM {table} WHERE key = ? AND number = ?"
        found: tuple[bytes, int] | None = self._replayer.execute(query, (row.key, number)).fetchone()
        return found

    def choose_bundles(self) -> None:
        """Those that this run makes anew; before it begins. A run that goes on with another one makes none: its rows
        are not of the safeset that was counted.
        """
        if self.base is not None and self.failure is None and not self.is_resumed:
            with self._until_it_fails():
                self.bundles.choose(self.base.root_hash)

    def begin(self) -> None:
        if self.failure is not None:
            return
        with self._until_it_fails():
            self._writer.execute("BEGIN IMMEDIATE")
            if self.is_resumed:
                fold(self._writer)
            self._has_further = bool(self._writer.execute("SELECT 1 FROM further_extents LIMIT 1").fetchone())
            if self.base is None and not self.is_unbound:
                # Sorting all hashes once, at the commit, is cheaper than keeping them sorted while they come.
                self._writer.execute("DROP INDEX IF EXISTS contents")

    def change(
        self, rows: Sequence[CachedRow], gone: Sequence[bytes], bundles: Sequence[tuple[bytes, int]] = ()
    ) -> None:
        """Keeps new rows and removes keys that are no more, inside the run's transaction; `bundles`: ids and sizes of
        those that were made.
        """
        if self.failure is None:
            with self._until_it_fails(), self.bundles.changing(rows, gone, bundles):
                self._change(rows, gone)

    def add_extents(self, key: bytes, number: int, extents: bytes) -> None:
        """Keeps a part of the extents of a row that follows, inside the run's transaction."""
        if self.failure is None:
            values = key, number, extents, part_checksum(key, number, extents)
            with self._until_it_fails():
                self._writer.execute("INSERT OR REPLACE INTO further_extents VALUES (?,?,?,?)", values)

    def _change(self, rows: Sequence[CachedRow], gone: Sequence[bytes]) -> None:
        self._writer.executemany("DELETE FROM rows WHERE key = ?", ((key,) for key in gone))
        if self._has_further:
            left = [(row.key, row.further) for row in rows] + [(key, 0) for key in gone]
            self._writer.executemany("DELETE FROM further_extents WHERE key = ? AND number > ?", left)
        self._insert("rows", rows)

    def _insert(self, table: str, rows: Sequence[CachedRow]) -> None:
        for start in range(0, len(rows), _WRITTEN_ROWS):
            part = rows[start : start + _WRITTEN_ROWS]
            values: list[object] = []
            for row in part:
                values += row
                values.append(hash_number(row.content_hash) if row.extents else None)
            self._writer.execute(_INSERT.format(table) + ",".join([_PLACES] * len(part)), values)

    def commit(self, base: Base) -> None:
        """The cache belongs to this safeset from now on, unless `failure` says something else."""
        if self.failure is not None:
            return
        with self._until_it_fails():
            save_base(self._writer, self._belonging, base)
            self._writer.execute(_CONTENTS)
            self.bundles.commit(base.root_hash)
            self._leaves.commit(base.top_block)
            self._writer.execute("COMMIT")
            self.base = base

    @contextmanager
    def _until_it_fails(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failure = error
            with suppress(sqlite3.Error, OSError):
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def is_damaged(self) -> bool:
        """Whether it failed for another reason than its disk, so that the next run would fare no better with it."""
        if self.failure is None or isinstance(self.failure, OSError):
            return False
        return getattr(self.failure, "sqlite_errorcode", 0) & _PRIMARY_CODE not in _CODES_OF_THE_DISK
