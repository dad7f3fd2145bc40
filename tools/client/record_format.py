"""The header, the ids and the keys of a record, as docs/format.md says them; pure functions, safe in any thread."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from blake3 import blake3

Buffer = bytes | bytearray | memoryview

RECORD_MAGIC = b"SSR1"
COMPANION_MAGIC = b"SSC1"
VERSION = 1
HEADER_BYTES = 84
RECORD_BYTES_MAX = 5_242_880
NO_SUITE = 0  # only a companion may carry it

_HEADER = struct.Struct("<4sBBBB16s16s32sI")
_CHECKED_BYTES = _HEADER.size  # 76; the checksum covers these and follows them


class RecordType(IntEnum):
    """The type byte; it is part of every chunk id."""

    DATA = 1
    MANIFEST = 2
    COMPANION = 3
    ROOT = 4


class Suite(IntEnum):
    """How the body is sealed. A larger number is never weaker: a generation's minimum suite is a lower bound."""

    CBC_BLAKE3 = 1
    GCM = 2


_KNOWN = {
    "version": frozenset({VERSION}),
    "suite": frozenset({NO_SUITE, *Suite}),
    "type": frozenset(RecordType),
    "flags": frozenset({0}),
}
PLAIN_BYTES_MAX = {RecordType.DATA: 4_194_304, RecordType.MANIFEST: 4_194_304, RecordType.ROOT: 262_144}


class IntegrityError(Exception):
    """Bytes are damaged or were altered; nothing of them may be used."""


class LaterVersion(IntegrityError):
    """What its checksum holds was made by a later version: not damaged, but nothing of it may be used here either."""


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The first 84 bytes of a record; `body_length` counts the bytes after them."""

    magic: bytes
    suite: int
    type: int
    keyring_id: bytes
    key_id: bytes
    id: bytes
    body_length: int


def keyed(key: bytes, data: Buffer) -> bytes:
    """BLAKE3(k; x) of the page."""
    return blake3(data, key=key).digest()


def kdf(key: bytes, label: bytes, length: int) -> bytes:
    """The page's key derivation: the first `length` bytes of the extendable output over the label."""
    return blake3(label, key=key).digest(length=length)


def chunk_id(id_key: bytes, type: int, plaintext: Buffer) -> bytes:
    """The id of a chunk: it depends on type and content alone, so equal content is stored once in a keyring."""
    hasher = blake3(bytes((type,)), key=id_key)
    hasher.update(plaintext)
    return hasher.digest()


def cid(record: Buffer) -> bytes:
    """The name of a whole sealed record, which anybody can check without keys."""
    return blake3(record).digest()


def record_keys(run_key: bytes, suite: int, type: int, id: bytes) -> tuple[bytes, bytes]:
    """Cipher key and tag key of one record."""
    both = kdf(run_key, b"safeset record keys v1" + bytes((suite, type)) + id, 64)
    return both[:32], both[32:]


def pack_header(header: RecordHeader) -> bytes:
    """The 84 bytes with their checksum."""
    checked = _HEADER.pack(
        header.magic, VERSION, header.suite, header.type, 0,
        header.keyring_id, header.key_id, header.id, header.body_length,
    )  # fmt: skip
    return checked + blake3(checked).digest(length=8)


def parse_header(record: Buffer) -> RecordHeader:
    """The header of a whole record; ValueError with the field when a byte or the length is wrong.

    The checksum is judged first: what is unknown behind it was written, not flipped, and is a LaterVersion.
    """
    if len(record) < HEADER_BYTES:
        raise ValueError(f"the record has {len(record)} bytes, a header alone has {HEADER_BYTES}")
    head = bytes(record[:HEADER_BYTES])
    if blake3(head[:_CHECKED_BYTES]).digest(length=8) != head[_CHECKED_BYTES:]:
        raise ValueError("the checksum of the record's header is wrong")
    magic, version, suite, type, flags, keyring_id, key_id, id, body_length = _HEADER.unpack_from(head)
    if magic not in (RECORD_MAGIC, COMPANION_MAGIC):
        raise ValueError(f"the record's magic {magic!r} is that of no record")
    for field, value in (("version", version), ("suite", suite), ("type", type), ("flags", flags)):
        if value not in _KNOWN[field]:
            raise LaterVersion(f"the record's {field} {value} is unknown to this program: a later version made it")
    if body_length != len(record) - HEADER_BYTES or len(record) > RECORD_BYTES_MAX:
        raise ValueError(f"the record's body_length {body_length} does not fit a record of {len(record)} bytes")
    return RecordHeader(magic, suite, type, keyring_id, key_id, id, body_length)
