"""The packed extras of a path: a map, or, where they are too many for one entry, an array of packed maps.

The entries of one path say them one after another (docs/format.md, Continuing); what cannot go on stands in the first.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from tools.client.manifest import Extra

PART_BYTES = 262_144  # of an entry, which takes twice that without its extents
_ENTRY_HEAD_BYTES = 32
_HOLES_AT_ONCE = 8_192  # pairs; each has at most 18 bytes
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
    going_on = (Extra.ATTRIBUTES, Extra.HOLES)
    yield {number: value for number, value in extras.items() if number not in going_on}
    part: dict[bytes, bytes] = {}
    size_bytes = 0
    for name, value in extras.get(Extra.ATTRIBUTES, {}).items():
        if part and size_bytes + len(value) > PART_BYTES:
            yield {int(Extra.ATTRIBUTES): part}
            part, size_bytes = {}, 0
        part[name] = value
        size_bytes += len(name) + len(value) + _ENTRY_HEAD_BYTES
    if part:
        yield {int(Extra.ATTRIBUTES): part}
    holes = extras.get(Extra.HOLES, [])
    for start in range(0, len(holes), 2 * _HOLES_AT_ONCE):
        yield {int(Extra.HOLES): holes[start : start + 2 * _HOLES_AT_ONCE]}
