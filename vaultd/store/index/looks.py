"""What is to be looked at because records came to count as damaged: rows of the index's table `meta`.

One for each keyring, written by the transaction that flags a record or gives a key up, so that no crash forgets it; and
one that says which containers had been given up when everything was looked at last. Threads: `conclude` in the writer
thread, the rest in any.
"""

import struct
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any

from vaultd.image.rows import close_row, open_row

_DUE = b"look"  # and the keyring's number
_GIVEN_UP_THEN = b"seen_given_up"
_STAMP = struct.Struct(">Q")

Reading = Callable[[], AbstractContextManager[Any]]
Write = Callable[[Callable[[Any], None]], None]


class IndexLooks:
    def __init__(self, databases: Mapping[str, Any], reading: Reading, write: Write) -> None:
        self._meta, self._keyrings = databases.get("meta"), databases.get("keyrings")
        self._reading = reading
        self._write = write
        self._ids: dict[bytes, bytes] = {}  # by number, of keyrings that were due; a number stays its keyring's

    def put(self, transaction: Any, number: bytes) -> None:
        """The number of a keyring. No two transactions write the same row."""
        key = _DUE + number
        transaction.put(key, close_row(key, _STAMP.pack(transaction.id())), db=self._meta)

    def due(self) -> dict[bytes, bytes]:
        """By keyring id, the rows as they stand."""
        with self._reading() as transaction:
            cursor = transaction.cursor(self._meta)
            held = takewhile(lambda item: item[0].startswith(_DUE), cursor if cursor.set_range(_DUE) else ())
            rows = {key[len(_DUE) :]: row for key, row in held}
            if unknown := rows.keys() - self._ids.keys():
                named = ((open_row(id_, row) or b"", id_) for id_, row in transaction.cursor(self._keyrings))
                self._ids.update({number: id_ for number, id_ in named if number in unknown})
        return {self._ids[number]: row for number, row in rows.items() if number in self._ids}

    def given_up_then(self) -> bytes:
        """As it was told by whoever looked at everything; empty where nobody did since the index was made."""
        with self._reading() as transaction:
            held = transaction.get(_GIVEN_UP_THEN, db=self._meta)
        return b"" if held is None else open_row(_GIVEN_UP_THEN, held) or b""

    def conclude(self, due: Mapping[bytes, bytes], given_up: bytes | None) -> None:
        """These were looked at; what came to be due since stays so. `given_up`: all was looked at."""

        def write(transaction: Any) -> None:
            for keyring_id, row in due.items():
                held = transaction.get(keyring_id, db=self._keyrings)
                key = _DUE + (open_row(keyring_id, held) or b"" if held else b"")
                if transaction.get(key, db=self._meta) == row:
                    transaction.delete(key, db=self._meta)
            if given_up is not None:
                transaction.put(_GIVEN_UP_THEN, close_row(_GIVEN_UP_THEN, given_up), db=self._meta)

        self._write(write)
