"""Pins: safesets that are held with a reason."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.catalog.safesets import safeset_key
from vaultd.records import Change, Pin, Safeset


def save_pin(account_id: bytes, safeset: Safeset, pin: Pin) -> list[Change]:
    return [put("pins", safeset_key(account_id, safeset), pin)]


def remove_pin(account_id: bytes, safeset: Safeset) -> list[Change]:
    return [("pins", safeset_key(account_id, safeset), None)]


def read_pin(view: View, account_id: bytes, safeset: Safeset) -> Pin | None:
    return read(view, "pins", safeset_key(account_id, safeset), Pin)


def list_pins(view: View, account_id: bytes, job_id: bytes) -> Iterator[tuple[bytes, Pin]]:
    """With the places of their safesets, in the order of the numbers."""
    prefix = account_id + job_id
    for key, value in view.scan("pins", prefix):
        yield key[len(prefix) :], decode("pins", key, value, Pin)
