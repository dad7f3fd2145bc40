"""An LMDB environment of named tables: how it is opened, read, written and grown.

Invariants: the map grows by itself for every writer, while no transaction is open; a map that cannot grow stays as it
was, and the writer gets MapStuck. Threads: `write` and `make_room` in one thread at a time; `read` in any. A thread
that reads must not write: growth would wait for it for ever.
"""

import mmap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from vaultd.errors import Internal

# Address space to begin with; the file is as large as what is in it.
MAP_BYTES = 1 << 30
_MORE_TABLES = 8  # those of a later version are passed over


class MapStuck(lmdb.Error):
    """The map is full and cannot grow."""


class Environment:
    def __init__(self, environment: Any, tables: Sequence[str]) -> None:
        """Use `open`."""
        self.environment = environment
        self._gate = threading.Condition()
        self._readers: list[int] = []
        self._growing = False
        self.databases = {name: self._open_table(name) for name in tables}

    @classmethod
    def open(cls, path: Path, tables: Sequence[str], map_bytes: int, readers_max: int) -> "Environment":
        """Makes what is not there. All errors, here and below, are those of LMDB."""
        path.mkdir(mode=0o700, exist_ok=True)
        environment = lmdb.open(
            str(path), map_size=map_bytes, max_dbs=len(tables) + _MORE_TABLES, max_readers=readers_max,
            readahead=False, mode=0o600,
        )  # fmt: skip
        try:
            environment.reader_check()
            return cls(environment, tables)
        except BaseException:
            environment.close()
            raise

    @classmethod
    def open_read_only(cls, path: Path, tables: Sequence[str]) -> "Environment":
        """For the offline check: no other process may have it open."""
        environment = lmdb.open(
            str(path), max_dbs=len(tables) + _MORE_TABLES, readonly=True, lock=False, create=False, readahead=False
        )
        try:
            return cls(environment, tables)
        except BaseException:
            environment.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A transaction that sees one state, while the block lasts."""
        thread = threading.get_ident()
        with self._gate:
            self._gate.wait_for(lambda: not self._growing)
            self._readers.append(thread)
        try:
            with self.environment.begin() as transaction:
                yield transaction
        finally:
            with self._gate:
                self._readers.remove(thread)
                self._gate.notify_all()

    def write(self, work: Callable[[Any], None]) -> None:
        """One durable transaction: everything that `work` does in it, or nothing. It may be called more than once."""
        while not self._write_or_grow(work):
            pass

    def make_room(self) -> None:
        """Before a long reader begins: while it reads the map cannot grow, and a full map lets nobody else begin."""
        info, stat = self.environment.info(), self.environment.stat()
        if 2 * (info["last_pgno"] + 1) * stat["psize"] > info["map_size"]:
            self._grow(None)

    def close(self) -> None:
        self.environment.close()

    def _write_or_grow(self, work: Callable[[Any], None]) -> bool:
        """False if the map was full: it is larger now, and nothing was written."""
        transaction = self.environment.begin(write=True)
        try:
            work(transaction)
            transaction.commit()
        except lmdb.MapFullError:
            self._grow(transaction)
            return False
        except BaseException:
            _abort(transaction)
            raise
        return True

    def _grow(self, transaction: Any) -> None:
        """Doubles the map while nobody has a transaction open, as LMDB demands.

        The write transaction ends in here too: beside busy readers py-lmdb takes many seconds to abort one.
        """
        with self._gate:
            if threading.get_ident() in self._readers:
                _abort(transaction)
                raise Internal("an image was written while the same thread was reading it")
            self._growing = True
            try:
                self._gate.wait_for(lambda: not self._readers)
                _abort(transaction)
                self._set_map_size()
            finally:
                self._growing = False
                self._gate.notify_all()

    def _set_map_size(self) -> None:
        size: int = self.environment.info()["map_size"]
        try:
            # LMDB gives its map up before it takes a larger one, and nothing can be read any more if there is none.
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE, prot=0).close()
            self.environment.set_mapsize(size * 2)
        except (OSError, lmdb.Error) as problem:
            raise MapStuck(
                f"its map of {size} bytes is full and cannot grow ({problem}): raise the limit of address space "
                "(`ulimit -v`, LimitAS)"
            ) from problem

    def _open_table(self, name: str) -> Any:
        """A table that is not there yet is written, so a full map grows here too."""
        is_new = not self.environment.flags()["readonly"]
        while True:
            try:
                return self.environment.open_db(name.encode(), create=is_new)
            except lmdb.MapFullError:
                self._grow(None)


def explain(problem: lmdb.Error) -> str:
    """What LMDB says, in words for people."""
    match problem:
        case lmdb.ReadersFullError():
            return "too many readers are at work at once"
        case lmdb.MemoryError():
            return f"not enough address space ({problem}): raise its limit (`ulimit -v`, LimitAS)"
    return str(problem) or type(problem).__name__


def is_damage(problem: lmdb.Error) -> bool:
    """Whether the file is to blame, and not what the system has left for this process."""
    return isinstance(problem, _OF_THE_FILE)


def _abort(transaction: Any) -> None:
    if transaction is not None:
        with suppress(lmdb.Error):  # a failed commit has ended it already
            transaction.abort()


_OF_THE_FILE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.NotFoundError,
    lmdb.ProblemError,
)
