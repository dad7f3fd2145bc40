"""The companion of a manifest block: the ids that the block uses, in clear, so that a vault knows what a safeset needs.

It is a record whose id is the plain BLAKE3 of its body; nothing in it is secret and nothing in it is signed: whoever
reads a manifest compares it with what the sealed block says.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from tools.client.record_format import (
    COMPANION_MAGIC,
    HEADER_BYTES,
    NO_SUITE,
    Buffer,
    IntegrityError,
    RecordHeader,
    RecordType,
    pack_header,
    parse_header,
)

_ID_BYTES = 32
_COUNT = struct.Struct("<I")
_NO_KEY = bytes(16)


@dataclass(frozen=True, slots=True)
class Companion:
    """`ids` ascending: chunks at level 0, blocks above. `children` are the companions of those rows, in row order; rows
    that list one block have one id and a child each."""

    level: int
    ids: tuple[bytes, ...]
    children: tuple[bytes, ...]


def encode_companion(level: int, ids: Sequence[bytes], children: Sequence[bytes]) -> bytes:
    """The body; the ids must be ascending already."""
    return b"".join((bytes((level,)), _COUNT.pack(len(ids)), *ids, _COUNT.pack(len(children)), *children))


def companion_id(body: Buffer) -> bytes:
    """The id of a companion record."""
    return blake3(body).digest()


def companion_record(body: bytes, keyring_id: bytes) -> bytes:
    """The whole record, as it is uploaded."""
    id = companion_id(body)
    header = RecordHeader(COMPANION_MAGIC, NO_SUITE, RecordType.COMPANION, keyring_id, _NO_KEY, id, len(body))
    return pack_header(header) + body


def open_companion(record: Buffer, expected_id: bytes) -> Companion:
    """The companion in a record; IntegrityError when a byte of it is wrong or it is another one."""
    try:
        header = parse_header(record)
        if (header.magic, header.suite, header.type) != (COMPANION_MAGIC, NO_SUITE, RecordType.COMPANION):
            raise ValueError("it is not a companion record")
        if header.key_id != _NO_KEY:
            raise ValueError("it names a key, and companions have none")
        body = bytes(record[HEADER_BYTES:])
        if header.id != expected_id or companion_id(body) != expected_id:
            raise ValueError("its content has another id")
        return decode_companion(body)
    except ValueError as error:
        raise IntegrityError(f"companion {expected_id.hex()} is damaged or was altered: {error}") from None


def decode_companion(body: bytes) -> Companion:
    """The companion in a body; ValueError when it is not exactly what a writer makes."""
    if not body:
        raise ValueError("the companion is empty")
    ids, position = _take_ids(body, 1)
    children, position = _take_ids(body, position)
    if position != len(body):
        raise ValueError("there are bytes after the companion")
    if any(a >= b for a, b in zip(ids, ids[1:], strict=False)):
        raise ValueError("the companion's ids are not ascending")
    fits = 1 <= len(ids) <= len(children) if body[0] else not children
    if not fits:
        raise ValueError(f"a companion of level {body[0]} with {len(ids)} ids cannot have {len(children)} children")
    return Companion(body[0], ids, children)


def _take_ids(body: bytes, position: int) -> tuple[tuple[bytes, ...], int]:
    start = position + _COUNT.size
    if len(body) < start:
        raise ValueError("the companion is cut off")
    (count,) = _COUNT.unpack_from(body, position)
    end = start + count * _ID_BYTES
    if len(body) < end:
        raise ValueError(f"the companion is cut off: {count} ids do not fit")
    return tuple(body[i : i + _ID_BYTES] for i in range(start, end, _ID_BYTES)), end
