"""A companion record: the ids that one manifest block uses, in clear."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .damage import require
from .hashing import plain
from .record import HEADER, MAGIC_CLEAR, parse_header


@dataclass(frozen=True, slots=True)
class Companion:
    id: bytes
    level: int
    ids: tuple[bytes, ...]
    children: tuple[bytes, ...]


def open_companion(record: bytes) -> Companion:
    header = parse_header(record)
    require(header.magic == MAGIC_CLEAR, "a sealed record is not a companion")
    require(len(record) == header.length, "a companion is longer or shorter than its header says")
    body = record[HEADER.size :]
    require(plain(body) == header.id, "the id of a companion is not the hash of its body")
    return parse_body(header.id, body)


def parse_body(companion_id: bytes, body: bytes) -> Companion:
    require(len(body) >= 9, "a companion is cut short")
    level, count = struct.unpack_from("<BI", body)
    children_at = 5 + 32 * count
    require(len(body) >= children_at + 4, "a companion is shorter than its ids")
    (children_count,) = struct.unpack_from("<I", body, children_at)
    require(len(body) == children_at + 4 + 32 * children_count, "a companion does not end with its companions")
    ids = hashes(body[5:children_at])
    require(all(a < b for a, b in zip(ids, ids[1:], strict=False)), "the ids of a companion do not ascend")
    require(level > 0 or children_count == 0, "a companion of level 0 has children")
    return Companion(companion_id, level, ids, hashes(body[children_at + 4 :]))


def hashes(raw: bytes) -> tuple[bytes, ...]:
    require(len(raw) % 32 == 0, "a list of ids is not a multiple of 32 bytes")
    return tuple(raw[at : at + 32] for at in range(0, len(raw), 32))
