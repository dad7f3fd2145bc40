"""What is to be done with containers, kept over a restart: rows of the index's table `meta`.

One for each container whose records are to be moved to others, and one for each of which all were moved and whose file
may still be there. Threads: those that write in the writer thread, the rest in any.
"""

import struct
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any

from vaultd.image.probe import MOVED
from vaultd.image.rows import close_row, open_row
from vaultd.store.index_rows import ContainerRow

_PLANNED = b"compact"
_NUMBER = struct.Struct(">Q")

Reading = Callable[[], AbstractContextManager[Any]]
Write = Callable[[Callable[[Any], None]], None]


class ContainerPlans:
    def __init__(self, meta: Any, reading: Reading, write: Write) -> None:
        self._meta = meta
        self._reading = reading
        self._write = write

    def put_moved(self, transaction: Any, row: ContainerRow) -> None:
        """Its file may go; the plan to move it is carried out."""
        self._put(transaction, MOVED, row.number, row.disk_id)
        transaction.delete(_PLANNED + _NUMBER.pack(row.number), db=self._meta)

    def moved(self) -> dict[int, bytes]:
        """By number, the disks of containers whose files may still be there."""
        return self._rows(MOVED)

    def forget_moved(self, numbers: Iterable[int]) -> None:
        """W. Their files are gone."""
        self._forget(MOVED, numbers)

    def plan(self, numbers: Iterable[int]) -> None:
        """W. Their records are to be moved."""

        def write(transaction: Any) -> None:
            for number in numbers:
                self._put(transaction, _PLANNED, number, b"")

        self._write(write)

    def planned(self) -> list[int]:
        return sorted(self._rows(_PLANNED))

    def forget_planned(self, numbers: Iterable[int]) -> None:
        """W."""
        self._forget(_PLANNED, numbers)

    def _forget(self, name: bytes, numbers: Iterable[int]) -> None:
        def write(transaction: Any) -> None:
            for number in numbers:
                transaction.delete(name + _NUMBER.pack(number), db=self._meta)

        self._write(write)

    def _put(self, transaction: Any, name: bytes, number: int, value: bytes) -> None:
        key = name + _NUMBER.pack(number)
        transaction.put(key, close_row(key, value), db=self._meta)

    def _rows(self, name: bytes) -> dict[int, bytes]:
        """One that is damaged is left out: a start looks at those of MOVED, and a plan is made again."""
        with self._reading() as transaction:
            cursor = transaction.cursor(self._meta)
            held = takewhile(lambda item: item[0].startswith(name), cursor if cursor.set_range(name) else ())
            rows = [(key, open_row(key, value)) for key, value in held]
        return {_NUMBER.unpack(key[len(name) :])[0]: value for key, value in rows if value is not None}
