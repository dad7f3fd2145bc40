"""Takes the rows of dropped records out of the index's table `records`."""

from typing import Any

from vaultd.store.index.numbers import Numbers
from vaultd.store.index.record_row import decode_row
from vaultd.store.index_rows import IndexBatch


def drop_rows(transaction: Any, records: Any, keyrings: Numbers, batch: IndexBatch) -> None:
    """A row that leads elsewhere, or whose checksum does not hold, stays, unless they are dropped anywhere."""
    numbers: dict[bytes, bytes | None] = {}
    for one in batch.dropped:
        if one.keyring_id not in numbers:
            numbers[one.keyring_id] = keyrings.held(transaction, one.keyring_id)
        number = numbers[one.keyring_id]
        if number is None:
            continue
        key = number + one.id
        value = transaction.get(key, db=records)
        held = decode_row(key, value) if value is not None else None
        leads_there = held and (held.container, held.offset) == (one.container, one.offset)
        if leads_there or (batch.dropped_anywhere and value is not None):
            transaction.delete(key, db=records)
