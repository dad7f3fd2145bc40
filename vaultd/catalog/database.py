"""The LMDB environment of the catalog: named tables, short read views, and one way to write (docs/format.md#catalog).

Invariants: changes and the journal position they stand at are written in one transaction. After a write that failed
nothing more is written until the catalog was opened again and caught up from the journal: later changes would hide
the gap. Every row but `meta.format` carries a checksum over key and value, and none is given out that does not hold it.
A View lives for one batch of look-ups.

Threads: `apply` and `catch_up` run in the writer thread only; views may be opened in any thread. The map grows
between transactions; a thread that holds a view must not call `apply`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import lmdb

from vaultd.errors import Conflict, Damaged, NoSpace, Unavailable
from vaultd.image.environment import MAP_BYTES, Environment, MapStuck, explain, is_damage
from vaultd.image.probe import META, Image
from vaultd.image.rows import close_row, open_row
from vaultd.records import Change

FORMAT = b"2"
# Its rows have no checksums. It is converted where it stands, and not made again from the journal, whose beginning may
# be gone with a disk: then it would know more than anything else.
FORMAT_1 = b"1"
REBUILD_HINT = "stop vaultd and run `vaultd rebuild DIR`: it is made again from the journal"
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
    "grants",
    "distrusted_keys",
    "erased_slots",
    "damaged_safesets",
    "restore_orders",
    "order_numbers",
    "order_messages",
    "retention_types",
    "limit_changes",
    "ended_safesets",
    "pins",
    "freezes",
    "filled_slots",
    "clock_doubts",
    "scrub_passes",
)
# What each catalog that was ever opened for writing has; an earlier version lacks the rest until it is opened so again.
_LATER_TABLES = (
    "disks", "grants", "distrusted_keys", "erased_slots", "damaged_safesets",
    "restore_orders", "order_numbers", "order_messages", "retention_types", "ended_safesets", "pins", "freezes",
    "filled_slots", "clock_doubts", "scrub_passes", "limit_changes",
)  # fmt: skip
_FIRST_TABLES = tuple(table for table in TABLES if table not in _LATER_TABLES)
READERS_MAX = 256
# One transaction of a catch-up holds about so many changes: an empty catalog is filled in few steps.
CATCH_UP_CHANGES = 10_000
_CONVERTED_ROWS = 1000
POSITION = Struct("<IQ32s")


class Position(NamedTuple):
    """A place in the journal: the catalog holds every change up to and with this entry."""

    timeline: int
    number: int
    hash: bytes


START = Position(1, 0, bytes(32))


class View:
    """A consistent state of all tables, while its `with` block lasts."""

    __slots__ = ("_databases", "_open_row", "_transaction")

    def __init__(
        self, transaction: Any, databases: dict[str, Any], open_row: Callable[[bytes, bytes], bytes | None]
    ) -> None:
        self._transaction = transaction
        self._databases = databases
        self._open_row = open_row

    def get(self, table: str, key: bytes) -> bytes | None:
        """None also where the table is missing: one that is only read may be of an earlier version."""
        if table not in self._databases:
            return None
        value = self._transaction.get(key, db=self._databases[table])
        return None if value is None else self._opened(table, key, value)

    def has(self, table: str, key: bytes) -> bool:
        """Also a row that is damaged."""
        return self._transaction.get(key, db=self._databases[table]) is not None

    def scan(self, table: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key begins with the prefix, in the order of the keys; the rest of the key is not below `start`."""
        if table not in self._databases:
            return
        with self._transaction.cursor(self._databases[table]) as cursor:
            if cursor.set_range(prefix + start):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        return
                    yield key, self._opened(table, key, value)

    def keys(self, table: str, prefix: bytes = b"") -> Iterator[bytes]:
        """Those that begin with the prefix in their order, also of rows that are damaged."""
        with self._transaction.cursor(self._databases[table]) as cursor:
            if cursor.set_range(prefix):
                yield from takewhile(lambda key: key.startswith(prefix), cursor.iternext(keys=True, values=False))

    def scan_back(self, table: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same rows from the last to the first; the part of a key after the prefix has at most 64 bytes."""
        with self._transaction.cursor(self._databases[table]) as cursor:
            found = cursor.prev() if cursor.set_range(prefix + b"\xff" * 64) else cursor.last()
            while found and cursor.key().startswith(prefix):
                key, value = cursor.item()
                yield key, self._opened(table, key, value)
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

    def _opened(self, table: str, key: bytes, value: bytes) -> bytes:
        body = self._open_row(key, value)
        if body is None:
            raise Damaged(f"row {key.hex()} of the catalog's table {table} is damaged", REBUILD_HINT)
        return body


class Catalog:
    """The open catalog."""

    def __init__(self, image: Environment, path: Path) -> None:
        """Use `open`."""
        self._image = image
        self._environment = image.environment
        self._databases = image.databases
        self._path = path
        self._open_row: Callable[[bytes, bytes], bytes | None] = open_row
        self._failed = False

    @classmethod
    def open(cls, path: Path, map_bytes: int = MAP_BYTES) -> "Catalog":
        with _told(path, "opened"):
            catalog = cls(Environment.open(path, (*TABLES, META), map_bytes, READERS_MAX), path)
        try:
            catalog._check_format()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @classmethod
    def open_read_only(cls, path: Path) -> "Catalog":
        """For the offline check: no other process may have it open."""
        with _told(path, "opened"):
            catalog = cls(Environment.open_read_only(path, (*TABLES, META)), path)
        try:
            if catalog._format() == FORMAT_1:
                catalog._open_row = _open_row_1
        except BaseException:
            catalog.close()
            raise
        return catalog

    @staticmethod
    def image(path: Path) -> Image:
        """What has to hold before it is opened."""
        return Image(path, (*_FIRST_TABLES, META), {FORMAT_1: (), FORMAT: (*TABLES, META)})

    def close(self) -> None:
        self._image.close()

    @contextmanager
    def read(self) -> Iterator[View]:
        with _told(self._path, "read"), self._image.read() as transaction:
            yield View(transaction, self._databases, self._open_row)

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
        self._write_rows(list(changes), position)
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

    def make_room(self) -> None:
        """W. Before a long reader begins: while it reads the map cannot grow, and a full map lets nobody else begin."""
        with _told(self._path, "written"):
            self._image.make_room()

    def _empty(self) -> None:
        def empty(transaction: Any) -> None:
            for table in TABLES:
                transaction.drop(self._databases[table], delete=False)

        self._write(empty)

    def _write_rows(self, rows: list[Change], position: Position) -> None:
        def put(transaction: Any) -> None:
            for table, key, value in rows:
                if table not in TABLES:
                    raise Conflict(f"table {table} was written by a later version of vaultd: start that one")
                if value is None:
                    transaction.delete(key, db=self._databases[table])
                else:
                    transaction.put(key, close_row(key, value), db=self._databases[table])
            stored = close_row(b"position", POSITION.pack(*position))
            transaction.put(b"position", stored, db=self._databases[META])

        self._write(put)

    def _write(self, work: Callable[[Any], None]) -> None:
        with _told(self._path, "written"):
            self._image.write(work)

    def _format(self) -> bytes | None:
        with _told(self._path, "read"), self._image.read() as transaction:
            stored: bytes | None = transaction.get(b"format", db=self._databases[META])
            return stored

    def _check_format(self) -> None:
        stored = self._format()
        if stored is None:
            self._write(lambda transaction: transaction.put(b"format", FORMAT, db=self._databases[META]))
        elif stored == FORMAT_1:
            self._write(self._convert)
        elif stored != FORMAT:
            known = f"{FORMAT_1!r} and {FORMAT!r}"
            raise Damaged(
                f"the catalog in {self._path} has format {stored!r}, this program knows {known}",
                "start the version of vaultd that wrote it; if there was none, run `vaultd rebuild DIR`",
            )

    def _convert(self, transaction: Any) -> None:
        """One transaction, so that a crash leaves the one format or the other."""
        for table in (*TABLES, META):
            with transaction.cursor(self._databases[table]) as cursor:
                start = b""
                while rows := list(islice(cursor, _CONVERTED_ROWS)) if cursor.set_range(start) else []:
                    for key, value in rows:
                        transaction.put(key, close_row(key, value), db=self._databases[table])
                    start = rows[-1][0] + b"\0"
        transaction.put(b"format", FORMAT, db=self._databases[META])


def _open_row_1(_key: bytes, value: bytes) -> bytes:
    """A row of format 1 is all value."""
    return value


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    """What LMDB says becomes one sentence. What the system lacks is not called damage."""
    try:
        yield
    except lmdb.DiskError as problem:
        raise NoSpace("the vault has no room left", "the operator makes room on a disk") from problem
    except lmdb.Error as problem:
        sentence = f"the catalog in {path} cannot be {what}: {explain(problem)}"
        if is_damage(problem):
            raise Damaged(sentence, REBUILD_HINT) from problem
        if what == "written" and not isinstance(problem, MapStuck):  # agents read it: the log names path and cause
            hint = "the operator restarts vaultd, which recovers from disk"
            raise Unavailable("the store stopped: its catalog cannot be written", hint) from problem
        raise Unavailable(sentence, "restart vaultd: it catches up from the journal") from problem
