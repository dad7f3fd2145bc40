"""The rows of a run that was broken off, beside those of the base in the cache, for the run that goes on with it.

A row of such a run hides that of the base with the same path. They are copied from the run's journal when a run begins
and become rows of the next base with its commit; until then every run that is broken off finds them again.
"""

import sqlite3

_ROWS = """
    key BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    prefix BLOB, extents BLOB, further INTEGER, extras BLOB, checksum INTEGER, hash INTEGER
"""
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS resumed ({_ROWS}) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS resumed_extents (key BLOB, number INTEGER, extents BLOB, checksum INTEGER,"
    " PRIMARY KEY (key, number)) WITHOUT ROWID",
)
# Sorting all hashes once is cheaper than keeping them sorted while the rows come.
_NO_CONTENTS = "DROP INDEX IF EXISTS resumed_contents"
_CONTENTS = "CREATE INDEX resumed_contents ON resumed (hash) WHERE hash IS NOT NULL"
_CLEAR = ("DELETE FROM resumed", "DELETE FROM resumed_extents")
# Both halves are read by their keys and merged: an order or a bound by key or hash costs no sorting.
_KNOWN = """CREATE TEMP VIEW known AS
    SELECT * FROM rows WHERE NOT EXISTS (SELECT 1 FROM resumed WHERE resumed.key = rows.key)
    UNION ALL SELECT * FROM resumed"""
_FOLD = (
    "DELETE FROM further_extents WHERE key IN (SELECT key FROM resumed)",
    "INSERT OR REPLACE INTO rows SELECT * FROM resumed",
    "INSERT OR REPLACE INTO further_extents SELECT * FROM resumed_extents",
    *_CLEAR,
)


def make_tables(writer: sqlite3.Connection) -> None:
    """Empty ones, inside the caller's transaction."""
    for statement in (*_SCHEMA, _NO_CONTENTS, *_CLEAR):
        writer.execute(statement)


def end_rows(writer: sqlite3.Connection) -> None:
    """All have come. Parts of extents whose row never came would be taken for those of the base's row."""
    writer.execute("DELETE FROM resumed_extents WHERE key NOT IN (SELECT key FROM resumed)")
    writer.execute(_CONTENTS)


def show_known(reader: sqlite3.Connection) -> None:
    """From now on the connection has `known`: the rows of the base and of the run that was broken off."""
    reader.execute("DROP VIEW IF EXISTS temp.known")
    reader.execute(_KNOWN)


def forget_lost(writer: sqlite3.Connection, key: bytes) -> None:
    """Something that a path needs is not at the vault: it is read again."""
    writer.execute("DELETE FROM resumed WHERE key = ?", (key,))
    writer.execute("DELETE FROM resumed_extents WHERE key = ?", (key,))


def fold(writer: sqlite3.Connection) -> None:
    """Makes them rows of the cache, inside the transaction of a run."""
    for statement in _FOLD:
        writer.execute(statement)
