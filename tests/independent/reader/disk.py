"""A disk of a store: the directory that holds a `disk.id`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from .damage import require, require_zero
from .hashing import require_checksum

IDENTITY = struct.Struct("<4sB3s16s16sIq4s8s")


@dataclass(frozen=True, slots=True)
class Disk:
    path: Path
    vault: bytes
    id: bytes
    number: int


def read_disk(path: Path) -> Disk:
    raw = (path / "disk.id").read_bytes()
    require(len(raw) == IDENTITY.size, f"{path}/disk.id has {len(raw)} bytes")
    magic, version, reserved, vault, disk_id, number, _, reserved2, _ = IDENTITY.unpack(raw)
    require(magic == b"SSI1", f"{magic!r} is not the magic of a disk identity")
    require_checksum(raw, 56, "a disk identity")
    require(version == 1, f"disk identity version {version} is unknown")
    require_zero(reserved + reserved2, "a disk identity")
    return Disk(path, vault, disk_id, number)


def find_disks(directory: Path) -> list[Disk]:
    """Every disk at or below `directory`, in the order of their numbers."""
    disks = [read_disk(path.parent) for path in directory.rglob("disk.id")]
    return sorted(disks, key=lambda disk: disk.number)
