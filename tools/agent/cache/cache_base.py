"""Which safeset the rows of a cache are of: one row of its own in the cache.

Unbound rows are of none that the vault has: it did not know the safeset, or the keyring has another generation, or the
vault another timeline, since they were written. Their ids are of the same id key.
"""

import sqlite3
from typing import Any

from tools.agent.cache.belonging import Base, Belonging

SCHEMA_VERSION = 4
# Its rows know nothing of attributes, links and holes: each path is looked at again, and contents stay known.
_VERSION_WITHOUT_EXTRAS = 3
UNBOUND = Base(bytes(32), bytes(32), bytes(32), 0)

SCHEMA = """
CREATE TABLE belongs (
    version INTEGER, keyring BLOB, generation INTEGER, id_key_mark BLOB, job BLOB, timeline INTEGER, root_hash BLOB,
    top_block BLOB, top_companion BLOB, level INTEGER, checksum INTEGER
);
"""


def load_base(writer: sqlite3.Connection, belonging: Belonging) -> Base | None:
    """`UNBOUND` where the rows are of no safeset any more; None where they are of another id key, or not as written."""
    found = writer.execute("SELECT * FROM belongs").fetchall()
    if len(found) == 1 and found[0][0] == _VERSION_WITHOUT_EXTRAS:
        _forget_fingerprints(writer)
        found = writer.execute("SELECT * FROM belongs").fetchall()
    if len(found) != 1:
        return None
    columns, base, checksum = found[0][:6], Base(*found[0][6:10]), found[0][10]
    if base.checksum() != checksum:
        return None
    if columns == (SCHEMA_VERSION, *belonging.columns()):
        return base
    return UNBOUND if _without_position(columns) == _without_position((SCHEMA_VERSION, *belonging.columns())) else None


def save_base(writer: sqlite3.Connection, belonging: Belonging, base: Base) -> None:
    """Inside the caller's transaction."""
    belongs = (SCHEMA_VERSION, *belonging.columns(), *base, base.checksum())
    writer.execute("DELETE FROM belongs")
    writer.execute("INSERT INTO belongs VALUES (?,?,?,?,?,?,?,?,?,?,?)", belongs)


def _without_position(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without generation and timeline."""
    version, keyring_id, _, id_key_mark, job_id, _ = columns
    return version, keyring_id, id_key_mark, job_id


def _forget_fingerprints(writer: sqlite3.Connection) -> None:
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE rows SET inode = 0")
    writer.execute("UPDATE belongs SET version = ?", (SCHEMA_VERSION,))
    writer.execute("COMMIT")
