"""Takes the rows of dropped records out of the index's table `records`."""

from collections.abc import Iterable
from typing import Any

from vaultd.store.index.numbers import Numbers
from vaultd.store.index.record_row import decode_row
from vaultd.store.index_rows import Dropped


def drop_rows(transaction: Any, records: Any, keyrings: Numbers, dropped: Iterable[Dropped]) -> None:
    """A row that leads elsewhere, or whose checksum does not hold, stays."""
    numbers: dict[bytes, bytes | None] = {}
    for one in dropped:
        if one.keyring_id not in numbers:
            numbers[one.keyring_id] = keyrings.held(transaction, one.keyring_id)
        number = numbers[one.keyring_id]
        if number is None:
            continue
        key = number + one.id
        value = transaction.get(key, db=records)
        held = decode_row(key, value) if value is not None else None
        if held and (held.container, held.offset) == (one.container, one.offset):
            transaction.delete(key, db=records)
