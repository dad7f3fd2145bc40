"""A checkpoint: the whole catalog and the table of containers at one journal position."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .damage import Damage, require, require_zero
from .hashing import plain, require_checksum, unpack
from .journal import Tables

HEADER = struct.Struct("<4sB3s16sI4sQ32sq40s8s")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    vault: bytes
    timeline: int
    number: int
    entry_hash: bytes
    tables: Tables
    containers: dict[int, ContainerRow]


@dataclass(frozen=True, slots=True)
class ContainerRow:
    disk: bytes
    length: int
    is_sealed: bool


def parse_checkpoint(raw: bytes) -> Checkpoint:
    require(len(raw) >= HEADER.size, "a checkpoint is shorter than its header")
    magic, version, reserved, vault, timeline, reserved2, number, entry_hash, _, reserved3, _ = HEADER.unpack_from(raw)
    require(magic == b"SSB1", f"{magic!r} is not the magic of a checkpoint")
    require_checksum(raw[: HEADER.size], 120, "a checkpoint")
    require(version == 1, f"checkpoint version {version} is unknown")
    require_zero(reserved + reserved2 + reserved3, "a checkpoint header")
    tables = parse_blocks(raw)
    rows = tables.pop("containers", {})
    containers = {int.from_bytes(key, "big"): parse_container_row(key, value) for key, value in rows.items()}
    return Checkpoint(vault, timeline, number, entry_hash, tables, containers)


def parse_container_row(key: bytes, value: bytes) -> ContainerRow:
    require(len(key) == 8, "the key of a checkpoint's container row does not have 8 bytes")
    row = unpack(value, "a checkpoint's container row")
    fits = isinstance(row, list) and [type(field) for field in row] == [bytes, int, bool]
    require(fits, f"a checkpoint's container row is {row}")
    return ContainerRow(*row)


def parse_blocks(raw: bytes) -> Tables:
    tables: Tables = {}
    position, count, hashes = HEADER.size, 0, b""
    while True:
        require(position + 4 <= len(raw), "a checkpoint has no end")
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4
        if length == 0:
            break
        block, block_hash = raw[position : position + length], raw[position + length : position + length + 32]
        require(plain(block) == block_hash, f"the checkpoint block at {position} is damaged")
        rows = unpack(block, f"the checkpoint block at {position}")
        for table, key, value in rows:
            tables.setdefault(table, {})[key] = value
        count, hashes, position = count + len(rows), hashes + block_hash, position + length + 32
    require(raw[position:] == struct.pack("<Q", count) + plain(hashes), "the end of a checkpoint does not fit")
    return tables


def newest_checkpoint(directories: Iterable[Path]) -> Checkpoint | None:
    """The newest readable one; with several copies the first that reads."""
    paths = [path for directory in directories for path in directory.glob("*.checkpoint")]
    for path in sorted(paths, key=lambda path: path.name, reverse=True):
        try:
            checkpoint = parse_checkpoint(path.read_bytes())
        except Damage:
            continue
        require(path.name == f"{checkpoint.number:016x}.checkpoint", f"{path} holds position {checkpoint.number}")
        return checkpoint
    return None
