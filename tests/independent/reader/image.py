"""The catalog as it lies in LMDB, in either format: rows without their checksums, and the position they stand at."""

from __future__ import annotations

import struct
from pathlib import Path

import lmdb

from .damage import require
from .hashing import plain
from .journal import Tables

META = b"meta"
POSITION = struct.Struct("<IQ32s")
CHECKSUM_BYTES = 8


def read_catalog(path: Path) -> tuple[Tables, tuple[int, int, bytes]]:
    """(rows by table, (timeline, number, hash)); nobody else may have it open."""
    with lmdb.open(str(path), max_dbs=64, readonly=True, lock=False, create=False) as environment:
        with environment.begin() as transaction:
            names = [name for name, _ in transaction.cursor()]
        databases = {name: environment.open_db(name, create=False) for name in names}
        with environment.begin() as transaction:
            found = {name: dict(transaction.cursor(database)) for name, database in databases.items()}
    meta = found.pop(META)
    version = meta.pop(b"format")
    require(version in (b"1", b"2"), f"catalog format {version!r} is unknown")
    if version == b"2":
        found = {name: opened(rows, name) for name, rows in found.items()}
        meta = opened(meta, META)
    return {name.decode(): rows for name, rows in found.items()}, POSITION.unpack(meta[b"position"])


def opened(rows: dict[bytes, bytes], name: bytes) -> dict[bytes, bytes]:
    for key, value in rows.items():
        body, checksum = value[:-CHECKSUM_BYTES], value[-CHECKSUM_BYTES:]
        require(plain(key + body)[:CHECKSUM_BYTES] == checksum, f"row {key.hex()} of table {name!r} is damaged")
    return {key: value[:-CHECKSUM_BYTES] for key, value in rows.items()}
