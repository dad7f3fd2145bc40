"""The body of a companion record: the ids that one manifest block uses, in clear (docs/format.md#companion-record).
Pure.
"""

import struct
from dataclasses import dataclass

from vaultd.errors import BadRequest

ID_BYTES = 32
IDS_MAX = 8192
LEVEL_MAX = 16
_HEAD = struct.Struct("<BI")
_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Companion:
    """`ids` ascend; `children` are companion ids in the order of the inner block's rows, none at level 0."""

    level: int
    ids: tuple[bytes, ...]
    children: tuple[bytes, ...]


def parse_companion(body: bytes | memoryview, place: str) -> Companion:
    """Refuses whatever is not exactly one well-formed body; the sentence names the place and the field."""
    level, ids, children = _split(memoryview(body), place)
    companion = Companion(level, _ids(ids), _ids(children))
    _check(companion, place)
    return companion


def split_companion(body: bytes | memoryview, place: str) -> tuple[bytes, bytes]:
    """The ids, and those of the companions below, one after another: of a body that was parsed when it was taken."""
    _, ids, children = _split(memoryview(body), place)
    return bytes(ids), bytes(children)


def _split(view: memoryview, place: str) -> tuple[int, memoryview, memoryview]:
    if len(view) < _HEAD.size:
        raise BadRequest(f"{place}: body is too short for a companion")
    level, count = _HEAD.unpack_from(view)
    children_at = _HEAD.size + count * ID_BYTES
    if level > LEVEL_MAX or count > IDS_MAX:
        raise BadRequest(f"{place}: level {level} or count {count} is beyond {LEVEL_MAX} or {IDS_MAX}")
    if len(view) < children_at + _COUNT.size:
        raise BadRequest(f"{place}: count {count} does not fit the body")
    (children,) = _COUNT.unpack_from(view, children_at)
    if len(view) != children_at + _COUNT.size + children * ID_BYTES:
        raise BadRequest(f"{place}: children {children} does not fit the body")
    return level, view[_HEAD.size : children_at], view[children_at + _COUNT.size :]


def _ids(view: memoryview) -> tuple[bytes, ...]:
    data = bytes(view)
    return tuple(data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES))


def _check(companion: Companion, place: str) -> None:
    if any(first >= second for first, second in zip(companion.ids, companion.ids[1:], strict=False)):
        raise BadRequest(f"{place}: ids must ascend, and none may be there twice")
    if companion.level == 0 and companion.children:
        raise BadRequest(f"{place}: children must be 0 at level 0")
    if companion.level > 0 and not len(companion.ids) <= len(companion.children) <= IDS_MAX:
        raise BadRequest(f"{place}: children {len(companion.children)} does not fit the {len(companion.ids)} ids")
    if companion.level > 0 and not companion.ids:
        raise BadRequest(f"{place}: count must be 1 or more above level 0")
