"""The packed extras of a path: a map, or, where they are too many for one entry, an array of packed maps.

The entries of one path say them one after another (docs/format.md, Continuing); what cannot go on stands in the first.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from tools.client.manifest import Extra

PART_BYTES = 131_072  # of an entry; with the longest path it still fits into a block
_ENTRY_HEAD_BYTES = 32
_HOLE_BYTES_MAX = 18  # of offset and length
_MAP_HEADS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))

Pack = Callable[[Any], bytes]


def pack_extras(pack: Pack, extras: dict[int, Any]) -> bytes | None:
    """None where there are none."""
    if not extras:
        return None
    packed = pack(extras)
    if len(packed) <= PART_BYTES:
        return packed
    return pack([pack(part) for part in _parts(extras)])


def extras_parts(packed: bytes) -> list[bytes]:
    """The packed map of each entry."""
    if packed[0] in _MAP_HEADS:
        return [packed]
    parts: list[bytes] = msgpack.unpackb(packed, strict_map_key=False)
    return parts


def first_extras(packed: bytes | None) -> dict[int, Any]:
    """What the first entry says."""
    if packed is None:
        return {}
    first: dict[int, Any] = msgpack.unpackb(extras_parts(packed)[0], strict_map_key=False)
    return first


def hole_bytes(packed: bytes | None) -> int:
    """How long the holes of the path are together."""
    holes: list[int] = []
    for part in extras_parts(packed) if packed else ():
        holes += msgpack.unpackb(part, strict_map_key=False).get(Extra.HOLES, [])
    return sum(holes[1::2])


def _parts(extras: dict[int, Any]) -> Iterator[dict[int, Any]]:
    """Each but the last is filled; what cannot go on is in the first."""
    part = {number: value for number, value in extras.items() if number not in (Extra.ATTRIBUTES, Extra.HOLES)}
    room = PART_BYTES
    for name, value in extras.get(Extra.ATTRIBUTES, {}).items():
        size_bytes = len(name) + len(value) + _ENTRY_HEAD_BYTES
        if size_bytes > room and part:
            yield part
            part, room = {}, PART_BYTES
        part.setdefault(int(Extra.ATTRIBUTES), {})[name] = value
        room -= size_bytes
    holes = extras.get(Extra.HOLES, [])
    at = 0
    while at < len(holes):
        if room < _HOLE_BYTES_MAX and part:
            yield part
            part, room = {}, PART_BYTES
        count = 2 * max(1, room // _HOLE_BYTES_MAX)
        part[int(Extra.HOLES)] = holes[at : at + count]
        at += count
        room = 0
    yield part
