"""Rows of the index's table `records` as they are stored, batch by batch: no transaction outlives a batch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from vaultd.store.index.numbers import NUMBER

StoredRow = tuple[bytes, bytes]  # key and value
_BATCH_ROWS = 10_000


class StoredRows:
    def __init__(self, records: Any, reading: Callable[[], AbstractContextManager[Any]]) -> None:
        self._records = records
        self._reading = reading

    def batches(self) -> Iterator[list[StoredRow]]:
        """All of them."""
        start = b""
        while batch := self._batch_from(start):
            yield batch
            start = batch[-1][0] + b"\0"

    def of_keyring(self, number: int) -> Iterator[list[StoredRow]]:
        """Those of a keyring, by its number."""
        keyring = NUMBER.pack(number)
        start = keyring
        while batch := [row for row in self._batch_from(start) if row[0].startswith(keyring)]:
            yield batch
            start = batch[-1][0] + b"\0"

    def has(self, number: int, id_begin: bytes) -> bool:
        """Whether an id of the keyring begins so."""
        begin = NUMBER.pack(number) + id_begin
        with self._reading() as transaction:
            cursor = transaction.cursor(self._records)
            return bool(cursor.set_range(begin) and cursor.key().startswith(begin))

    def _batch_from(self, start: bytes) -> list[StoredRow]:
        batch: list[StoredRow] = []
        with self._reading() as transaction:
            cursor = transaction.cursor(self._records)
            if cursor.set_range(start):
                for row in cursor:
                    batch.append(row)
                    if len(batch) == _BATCH_ROWS:
                        break
        return batch
