"""Catalog rows to bytes and back."""

from functools import cache
from typing import TypeVar

import msgspec

from vaultd.catalog.database import REBUILD_HINT, View
from vaultd.errors import Conflict, Damaged
from vaultd.records import Change, Row

R = TypeVar("R", bound=Row)

_LONGER = "Expected `array` of at most length"  # what msgspec says of a row, or of an array in it
_UNKNOWN_VALUE = "Invalid enum value"
_encoder = msgspec.msgpack.Encoder()


def put(table: str, key: bytes, row: Row) -> Change:
    return table, key, _encoder.encode(row)


def read(view: View, table: str, key: bytes, kind: type[R]) -> R | None:
    value = view.get(table, key)
    return None if value is None else decode(table, key, value, kind)


def decode(table: str, key: bytes, value: bytes, kind: type[R]) -> R:
    try:
        return _decoder(kind).decode(value)
    except msgspec.MsgspecError as error:
        if str(error).startswith((_LONGER, _UNKNOWN_VALUE)):
            raise Conflict(
                f"row {key.hex()} of the table {table} was written by a later version of vaultd: start that one"
            ) from None
        raise Damaged(
            f"row {key.hex()} of the catalog's table {table} is damaged",
            REBUILD_HINT,
        ) from None


def number_key(number: int) -> bytes:
    """A number as the end of a key: big-endian, so that the keys sort as the numbers do."""
    return number.to_bytes(8, "big")


def name_key(name: str) -> bytes:
    """A name as a part of a key: two names that differ in case alone are one name."""
    return name.casefold().encode()


@cache
def _decoder(kind: type[R]) -> "msgspec.msgpack.Decoder[R]":
    return msgspec.msgpack.Decoder(kind)
