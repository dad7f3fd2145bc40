"""Many rows of the index's table `records` at once, as arrays: what a sweep through millions of them looks at.

Checksums are not looked at here: what is decided about a row is decided by the row itself (`record_row`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

_KEY = np.dtype([("keyring", ">u4"), ("prefix", ">u8"), ("rest", "S24")])
_VALUE = np.dtype(
    [
        ("container", "<u8"), ("offset", "<u4"), ("length", "<u4"), ("type", "u1"), ("flags", "u1"), ("reserved", "S2"),
        ("key", "<u4"), ("cid", "S16"), ("check", "S8"),
    ]
)  # fmt: skip


class RowVectors(Struct, frozen=True):
    """In the order of the rows; `prefixes` are the first 8 bytes of each id, so they ascend."""

    prefixes: Any
    containers: Any
    lengths: Any
    keys: Any


def readable(rows: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those whose sizes are those of rows."""
    return [row for row in rows if len(row[0]) == _KEY.itemsize and len(row[1]) == _VALUE.itemsize]


def vector_of(prefixes: bytes) -> Any:
    """Of the first 8 bytes of ids, which lie one after another."""
    return np.frombuffer(prefixes, ">u8").astype(np.uint64)


def vectors(rows: Sequence[tuple[bytes, bytes]]) -> RowVectors:
    """Of readable ones."""
    keys = np.frombuffer(b"".join([key for key, _ in rows]), _KEY)
    values = np.frombuffer(b"".join([value for _, value in rows]), _VALUE)
    return RowVectors(
        keys["prefix"].astype(np.uint64),
        values["container"].astype(np.int64),
        values["length"].astype(np.int64),
        values["key"].astype(np.int64),
    )
