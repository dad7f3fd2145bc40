"""The fixed header of a record, as far as the vault may look (docs/format.md#record)."""

from struct import Struct as Layout

from blake3 import blake3
from msgspec import Struct

from vaultd.checksum import checksum
from vaultd.store.errors import NewerRecord, RecordError

HEADER_BYTES = 84
RECORD_BYTES_MAX = 5 * 1024 * 1024
SEALED_MAGIC = b"SSR1"
COMPANION_MAGIC = b"SSC1"
VERSION = 1
COMPANION_TYPE = 3
_CHECKED_BYTES = 76
_SEALED_SUITES = (1, 2)
_SEALED_TYPES = (1, 2, 4)
_NO_KEY = bytes(16)
_HEADER = Layout("<4sBBBB16s16s32sI8s")


class RecordHeader(Struct, frozen=True, gc=False):
    """`sealed` is False for a companion record, the only kind whose body the vault reads."""

    sealed: bool
    suite: int
    type: int
    keyring_id: bytes
    key_id: bytes
    id: bytes
    body_length: int

    @property
    def record_length(self) -> int:
        return HEADER_BYTES + self.body_length


def parse_header(view: bytes | bytearray | memoryview) -> RecordHeader:
    """Reads the header at the start of `view`; what follows it is not looked at."""
    if len(view) < HEADER_BYTES:
        raise RecordError(f"record: {len(view)} bytes are too short for a header of {HEADER_BYTES} bytes")
    magic, version, suite, kind, flags, keyring_id, key_id, id_, body_length, check = _HEADER.unpack_from(view)
    if magic not in (SEALED_MAGIC, COMPANION_MAGIC):
        raise RecordError(f"record: magic {magic.hex()} is not that of a record")
    if checksum(memoryview(view)[:_CHECKED_BYTES]) != check:
        raise RecordError("record: checksum of the header does not hold")
    sealed = magic == SEALED_MAGIC
    header = RecordHeader(sealed, suite, kind, keyring_id, key_id, id_, body_length)
    if header.record_length > RECORD_BYTES_MAX:
        raise RecordError(f"record: body_length {body_length} makes it longer than {RECORD_BYTES_MAX} bytes")
    if unknown := _unknown_in(header, version, flags):
        raise NewerRecord(f"record: {unknown}", header.record_length)
    return header


def parse_record(record: bytes | bytearray | memoryview) -> RecordHeader:
    """Reads the header and holds the length of the whole record against it."""
    header = parse_header(record)
    if len(record) != header.record_length:
        raise RecordError(f"record: body_length {header.body_length} does not fit a record of {len(record)} bytes")
    return header


def cid(record: bytes | bytearray | memoryview) -> bytes:
    """Names the whole record, header and body: what the vault can check without any key."""
    return blake3(record).digest()


def check_companion(header: RecordHeader, record: bytes | bytearray | memoryview) -> None:
    """A companion is named by its own content, so its id can be checked without an index."""
    if not header.sealed and blake3(memoryview(record)[HEADER_BYTES:]).digest() != header.id:
        raise RecordError("record: id of the companion is not the hash of its body")


def _unknown_in(header: RecordHeader, version: int, flags: int) -> str:
    if version != VERSION:
        return f"version {version} is unknown"
    if flags:
        return f"flags {flags} are unknown"
    return _unknown_kind(header)


def _unknown_kind(header: RecordHeader) -> str:
    if header.sealed:
        if header.suite not in _SEALED_SUITES:
            return f"suite {header.suite} is unknown"
        return "" if header.type in _SEALED_TYPES else f"type {header.type} is unknown"
    if header.suite != 0:
        return f"suite {header.suite} is not that of a companion"
    if header.type != COMPANION_TYPE:
        return f"type {header.type} is not that of a companion"
    return "" if header.key_id == _NO_KEY else "key of a companion is not zero"
