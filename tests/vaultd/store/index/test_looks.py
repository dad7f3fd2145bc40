"""Which keyrings are due is asked at each list of safesets: it costs what is due, and not what else the index holds."""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import pytest

from tests.vaultd.store.fakes import short_hash
from vaultd.store.index.looks import IndexLooks

KEYRINGS = 200


class Rows:
    """A cursor that counts what it gives."""

    def __init__(self, cursor: Any, count: Callable[[], None]) -> None:
        self._cursor = cursor
        self._count = count
        self.set_range = cursor.set_range

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for row in self._cursor:
            self._count()
            yield row


class Reading:
    def __init__(self, transaction: Any, touched: "Counter[Any]") -> None:
        self._transaction = transaction
        self._touched = touched

    def cursor(self, table: Any) -> Rows:
        return Rows(self._transaction.cursor(table), lambda: self._touched.update([table]))


class Tables:
    """With keyrings that were all given a key up, and some rows that come after those of what is due."""

    def __init__(self, path: Path) -> None:
        self._environment = lmdb.open(str(path), max_dbs=2)
        self._of_name = {name: self._environment.open_db(name.encode()) for name in ("meta", "keyrings")}
        self._touched: Counter[Any] = Counter()
        self.looks = IndexLooks(self._of_name, self._reading, lambda work: None)
        for number in range(1, KEYRINGS + 1):
            self.add_keyring(number)
            self.put("meta", b"given_up" + struct.pack(">II", number, 1), b"")
        for key in (b"position", b"seen_given_up", b"vault"):
            self.put("meta", key, b"x")

    def add_keyring(self, number: int) -> None:
        self.put("keyrings", id_of(number), struct.pack(">I", number))

    def put(self, table: str, key: bytes, body: bytes) -> bytes:
        row = body + short_hash(key + body)
        with self._environment.begin(write=True) as transaction:
            transaction.put(key, row, db=self._of_name[table])
        return row

    def make_due(self, number: int) -> bytes:
        return self.put("meta", b"look" + struct.pack(">I", number), bytes(8))

    def touched(self) -> dict[str, int]:
        """Rows since this was asked last."""
        counted = {name: self._touched[table] for name, table in self._of_name.items()}
        self._touched.clear()
        return counted

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with self._environment.begin() as transaction:
            yield Reading(transaction, self._touched)


def id_of(number: int) -> bytes:
    return bytes([255 - number]) * 16


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def test_what_is_due_is_all_that_is_read(tables: Tables) -> None:
    rows = {id_of(number): tables.make_due(number) for number in (7, 100)}
    assert tables.looks.due() == rows
    assert tables.touched() == {"meta": 3, "keyrings": KEYRINGS}  # one behind the last; names, once
    assert tables.looks.due() == rows
    assert tables.touched() == {"meta": 3, "keyrings": 0}


def test_where_nothing_is_due_one_row_is_read(tables: Tables) -> None:
    assert tables.looks.due() == {}
    assert tables.touched() == {"meta": 1, "keyrings": 0}


def test_a_keyring_that_came_later_is_named_too(tables: Tables) -> None:
    tables.make_due(7)
    tables.looks.due()
    tables.add_keyring(KEYRINGS + 1)
    tables.make_due(KEYRINGS + 1)
    assert set(tables.looks.due()) == {id_of(7), id_of(KEYRINGS + 1)}
