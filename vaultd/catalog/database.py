"""The LMDB environment of the catalog: named tables, short read views, and one way to write.

Invariants: changes and the journal position they stand at are written in one transaction. After a write that failed
nothing more is written until the catalog was opened again and caught up from the journal: later changes would hide
the gap. A View lives for one batch of look-ups.

Threads: `apply` and `catch_up` run in the writer thread only; views may be opened in any thread. The map grows
between transactions; a thread that holds a view must not call `apply`.
"""

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from vaultd.errors import Conflict, Damaged, Internal, Unavailable
from vaultd.records import Change

FORMAT = b"1"
TABLES = (
    "accounts",
    "account_names",
    "identities",
    "tokens",
    "invites",
    "computers",
    "computer_names",
    "agent_keys",
    "owners",
    "jobs",
    "job_names",
    "job_secrets",
    "keyrings",
    "slots",
    "run_keys",
    "run_key_owners",
    "runs",
    "run_numbers",
    "run_requests",
    "active_runs",
    "safesets",
    "safeset_hashes",
    "audit",
    "disks",
)
META = "meta"
# The file grows only with what is in it; this is address space.
MAP_BYTES = 1 << 30
READERS_MAX = 256
# One transaction of a catch-up holds about so many changes: an empty catalog is filled in few steps.
CATCH_UP_CHANGES = 10_000
POSITION = struct.Struct("<IQ32s")


class Position(NamedTuple):
    """A place in the journal: the catalog holds every change up to and with this entry."""

    timeline: int
    number: int
    hash: bytes


START = Position(1, 0, bytes(32))


class View:
    """A consistent state of all tables, while its `with` block lasts."""

    __slots__ = ("_databases", "_transaction")

    def __init__(self, transaction: Any, databases: dict[str, Any]) -> None:
        self._transaction = transaction
        self._databases = databases

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._transaction.get(key, db=self._databases[table])

    def scan(self, table: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key begins with the prefix, in the order of the keys; the rest of the key is not below `start`."""
        if table not in self._databases:
            return
        with self._transaction.cursor(self._databases[table]) as cursor:
            if cursor.set_range(prefix + start):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        return
                    yield key, value

    def scan_back(self, table: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same rows from the last to the first; the part of a key after the prefix has at most 64 bytes."""
        with self._transaction.cursor(self._databases[table]) as cursor:
            found = cursor.prev() if cursor.set_range(prefix + b"\xff" * 64) else cursor.last()
            while found and cursor.key().startswith(prefix):
                yield cursor.item()
                found = cursor.prev()

    def count(self, table: str) -> int:
        return int(self._transaction.stat(self._databases[table])["entries"])

    def position(self) -> Position:
        """What these rows are the image of."""
        stored = self.get(META, b"position")
        return Position(*POSITION.unpack(stored)) if stored else START

    def rows(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Every row, table by table: with `position` what a checkpoint holds."""
        for table in TABLES:
            for key, value in self.scan(table):
                yield table, key, value


def _open_tables(environment: lmdb.Environment) -> dict[str, Any]:
    """All of them; read-only those that are there: a catalog of an earlier version lacks a table."""
    if not environment.flags()["readonly"]:
        return {name: environment.open_db(name.encode()) for name in (*TABLES, META)}
    with environment.begin() as transaction:
        held = {bytes(key).decode() for key, _ in transaction.cursor()}
    return {name: environment.open_db(name.encode(), create=False) for name in (*TABLES, META) if name in held}


class Catalog:
    """The open catalog."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._databases: dict[str, Any] = _open_tables(environment)
        self._gate = threading.Condition()
        self._readers: list[int] = []
        self._growing = False
        self._failed = False

    @classmethod
    def open(cls, path: Path, map_bytes: int = MAP_BYTES) -> "Catalog":
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            environment = lmdb.open(str(path), map_size=map_bytes, max_dbs=len(TABLES) + 8, max_readers=READERS_MAX)
        except lmdb.Error as problem:
            raise Damaged(
                f"the catalog in {path} cannot be opened: {problem}",
                "move the directory away; it is made again from the journal",
            ) from None
        catalog = cls(environment)
        catalog._check_format(path)
        return catalog

    @classmethod
    def open_read_only(cls, path: Path) -> "Catalog":
        """For the offline check: no other process may have it open."""
        try:
            environment = lmdb.open(str(path), max_dbs=len(TABLES) + 8, readonly=True, lock=False, create=False)
            return cls(environment)
        except lmdb.Error as problem:
            raise Damaged(f"the catalog in {path} cannot be opened: {problem}") from None

    def close(self) -> None:
        self._environment.close()

    @contextmanager
    def read(self) -> Iterator[View]:
        thread = threading.get_ident()
        with self._gate:
            self._gate.wait_for(lambda: not self._growing)
            self._readers.append(thread)
        try:
            with self._environment.begin() as transaction:
                yield View(transaction, self._databases)
        finally:
            with self._gate:
                self._readers.remove(thread)
                self._gate.notify_all()

    def position(self) -> Position:
        with self.read() as view:
            return view.position()

    def require_writable(self) -> None:
        """Raises Unavailable once a write failed: the journal is then ahead of the catalog."""
        if self._failed:
            raise Unavailable("the catalog stopped after an error", "restart vaultd: it catches up from the journal")

    def apply(self, changes: Iterable[Change], position: Position) -> None:
        """Writes the changes and the position in one durable transaction."""
        self.require_writable()
        self._failed = True
        rows = list(changes)
        while not self._try_apply(rows, position):
            self._grow()
        self._failed = False

    def catch_up(self, entries: Iterable[tuple[Position, Sequence[Change]]]) -> int:
        """Applies journal entries that come after the catalog's position, in their order; returns how many changes
        they held.
        """
        applied = 0
        waiting: list[Change] = []
        reached: Position | None = None
        for reached, changes in entries:
            waiting.extend(changes)
            if len(waiting) >= CATCH_UP_CHANGES:
                self.apply(waiting, reached)
                applied += len(waiting)
                waiting = []
        if reached is not None and waiting:
            self.apply(waiting, reached)
        return applied + len(waiting)

    def load(self, rows: Iterable[Change], position: Position) -> None:
        """Fills an empty catalog from a checkpoint. The position comes last: a load that was broken off begins anew,
        without what it had brought, because the checkpoint may be another one now.
        """
        self._empty()
        waiting: list[Change] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) >= CATCH_UP_CHANGES:
                self.apply(waiting, START)
                waiting = []
        self.apply(waiting, position)

    def _empty(self) -> None:
        with self._environment.begin(write=True) as transaction:
            for table in TABLES:
                transaction.drop(self._databases[table], delete=False)

    def _try_apply(self, rows: list[Change], position: Position) -> bool:
        try:
            with self._environment.begin(write=True) as transaction:
                for table, key, value in rows:
                    if table not in TABLES:
                        raise Conflict(f"table {table} was written by a later version of vaultd: start that one")
                    if value is None:
                        transaction.delete(key, db=self._databases[table])
                    else:
                        transaction.put(key, value, db=self._databases[table])
                transaction.put(b"position", POSITION.pack(*position), db=self._databases[META])
        except lmdb.MapFullError:
            return False
        except lmdb.Error as problem:
            raise Unavailable(f"the catalog cannot be written: {problem}") from None
        return True

    def make_room(self) -> None:
        """W. Before a long reader begins: while it reads the map cannot grow, and a full map lets nobody else begin."""
        info, stat = self._environment.info(), self._environment.stat()
        if 2 * (info["last_pgno"] + 1) * stat["psize"] > info["map_size"]:
            self._grow()

    def _grow(self) -> None:
        """Doubles the map; LMDB allows it only while no transaction of this process is open."""
        with self._gate:
            if threading.get_ident() in self._readers:
                raise Internal("the catalog was written while the same thread was reading it")
            self._growing = True
            try:
                self._gate.wait_for(lambda: not self._readers)
                self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
            finally:
                self._growing = False
                self._gate.notify_all()

    def _check_format(self, path: Path) -> None:
        with self.read() as view:
            stored = view.get(META, b"format")
        if stored is None:
            with self._environment.begin(write=True) as transaction:
                transaction.put(b"format", FORMAT, db=self._databases[META])
        elif stored != FORMAT:
            raise Damaged(f"the catalog in {path} has format {stored!r}, this program knows {FORMAT!r}")
