"""The small numbers that stand for the global ids of keyrings and run keys inside one index (docs/format.md#index).

Given out from 1; rows of these tables are never removed. Threads: `give` in the writer thread, the rest in any.
"""

import struct
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

from vaultd.image.rows import close_row

NUMBER = struct.Struct(">I")

Reading = Callable[[], AbstractContextManager[Any]]
Opened = Callable[[bytes, bytes], bytes]


class Numbers:
    """`opened` takes the checksum off a row, or raises."""

    def __init__(self, database: Any, reading: Reading, opened: Opened) -> None:
        self._database = database
        self._reading = reading
        self._opened = opened

    def of(self, id_: bytes) -> int | None:
        """None where it has none yet."""
        with self._reading() as transaction:
            number = self.held(transaction, id_)
        return None if number is None else int(NUMBER.unpack(number)[0])

    def held(self, transaction: Any, id_: bytes) -> bytes | None:
        """As it stands in a key; None where it has none yet."""
        row: bytes | None = transaction.get(id_, db=self._database)
        return None if row is None else self._opened(id_, row)

    def give(self, transaction: Any, id_: bytes) -> bytes:
        """As it stands in a key."""
        held = self.held(transaction, id_)
        if held is not None:
            return held
        number = NUMBER.pack(transaction.stat(self._database)["entries"] + 1)
        transaction.put(id_, close_row(id_, number), db=self._database)
        return number

    def all_ids(self) -> list[bytes]:
        with self._reading() as transaction:
            return list(transaction.cursor(self._database).iternext(keys=True, values=False))

    def ids(self, transaction: Any, numbers: Collection[int]) -> dict[int, bytes]:
        """By number, of these alone: one look through the table."""
        rows = transaction.cursor(self._database) if numbers else ()
        found = ((int(NUMBER.unpack(self._opened(id_, held))[0]), id_) for id_, held in rows)
        return {number: id_ for number, id_ in found if number in numbers}
