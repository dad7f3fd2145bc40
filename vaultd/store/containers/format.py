"""A container as bytes: header block, padding record, directory, trailer (docs/format.md#container). Pure.

Invariant: zero bytes are never a valid header of anything.
"""

from pathlib import Path
from struct import Struct as Layout
from typing import NamedTuple

from blake3 import blake3
from msgspec import Struct

from vaultd.checksum import CHECKSUM_BYTES, checksum
from vaultd.store.errors import FormatError, NewerFormat

BLOCK_BYTES = 4096
VERSION = 1
PADDING_MAGIC = b"SSP1"
PADDING_HEADER_BYTES = 16
DIRECTORY_MAGIC = b"SSD1"
DIRECTORY_ROW_BYTES = 112
SUFFIX = ".container"
# In one container: a directory is built and read in memory, 7 MiB of rows, and a journal entry can name them all.
RECORDS_MAX = 65_536
_CONTAINERS_PER_DIRECTORY = 1024
_HEADER_MAGIC = b"SSH1"
_TRAILER_MAGIC = b"SSF1"
_HEADER = Layout("<4sB3s16sQIq")
_PADDING = Layout("<4sI")
_DIRECTORY = Layout("<4sI")
_DIRECTORY_ROW = Layout("<QIB3s16s16s32s32s")
_TRAILER = Layout("<4s4sQQQQ")
_HASH_BYTES = 32
_RESERVED = bytes(3)


class ContainerHeader(Struct, frozen=True):
    vault_id: bytes
    number: int
    created_ns: int


class DirectoryRow(NamedTuple):
    offset: int
    length: int
    type: int
    keyring_id: bytes
    key_id: bytes
    id: bytes
    cid: bytes


class Trailer(Struct, frozen=True):
    number: int
    directory_offset: int
    directory_length: int
    records: int


def container_path(disk_path: Path, number: int) -> Path:
    directory = f"{number // _CONTAINERS_PER_DIRECTORY:04x}"
    return disk_path / "containers" / directory / f"{number:012x}{SUFFIX}"


def encode_header(header: ContainerHeader) -> bytes:
    head = _HEADER.pack(
        _HEADER_MAGIC, VERSION, _RESERVED, header.vault_id, header.number, BLOCK_BYTES, header.created_ns
    )
    return (head + checksum(head)).ljust(BLOCK_BYTES, b"\0")


def decode_header(block: bytes, path: Path) -> ContainerHeader:
    head = _checked_block(block, _HEADER.size, "container header")
    magic, version, reserved, vault_id, number, block_bytes, created_ns = _HEADER.unpack(head)
    if magic != _HEADER_MAGIC or version != VERSION:
        raise NewerFormat(f"{path}: a container with magic {magic.hex()} version {version}")
    if block_bytes != BLOCK_BYTES or any(reserved):
        raise NewerFormat(f"{path}: a container with block_bytes {block_bytes} or reserved bytes that are not zero")
    return ContainerHeader(vault_id, number, created_ns)


def padding_length(offset: int) -> int:
    """How long the padding record at `offset` must be to end on a block boundary; 0 on a boundary."""
    gap = -offset % BLOCK_BYTES
    return gap + BLOCK_BYTES if 0 < gap < PADDING_HEADER_BYTES else gap


def encode_padding(length: int) -> bytes:
    head = _PADDING.pack(PADDING_MAGIC, length)
    return (head + checksum(head)).ljust(length, b"\0")


def encode_padding_to_boundary(offset: int) -> bytes:
    length = padding_length(offset)
    return encode_padding(length) if length else b""


def decode_padding(view: bytes | memoryview) -> int:
    """The length that the padding header at the start of `view` declares; its zeros are not looked at."""
    head = bytes(view[:PADDING_HEADER_BYTES])
    if len(head) < PADDING_HEADER_BYTES or checksum(head[:8]) != head[8:]:
        raise FormatError("padding record: checksum does not hold")
    magic, length = _PADDING.unpack_from(head)
    if magic != PADDING_MAGIC or length < PADDING_HEADER_BYTES or length >= BLOCK_BYTES + PADDING_HEADER_BYTES:
        raise FormatError(f"padding record: magic {magic.hex()} or length {length} is unknown")
    return int(length)


def encode_row(row: DirectoryRow) -> bytes:
    offset, length, kind, keyring_id, key_id, id_, cid = row
    return _DIRECTORY_ROW.pack(offset, length, kind, _RESERVED, keyring_id, key_id, id_, cid)


def encode_directory(rows: bytes | bytearray) -> bytes:
    """`rows` are encoded rows one after another."""
    body = _DIRECTORY.pack(DIRECTORY_MAGIC, len(rows) // DIRECTORY_ROW_BYTES) + rows
    return body + blake3(body).digest()


def decode_directory(data: bytes) -> list[DirectoryRow]:
    if len(data) < _DIRECTORY.size + _HASH_BYTES or blake3(data[:-_HASH_BYTES]).digest() != data[-_HASH_BYTES:]:
        raise FormatError("container directory: hash does not hold")
    magic, count = _DIRECTORY.unpack_from(data)
    rows = data[_DIRECTORY.size : -_HASH_BYTES]
    if magic != DIRECTORY_MAGIC or len(rows) != count * DIRECTORY_ROW_BYTES:
        raise FormatError(f"container directory: magic {magic.hex()} or count {count} does not fit")
    return decode_rows(rows)


def decode_rows(rows: bytes) -> list[DirectoryRow]:
    """Encoded ones, one after another."""
    found = []
    for offset, length, kind, reserved, keyring_id, key_id, id_, cid in _DIRECTORY_ROW.iter_unpack(rows):
        if any(reserved):
            raise NewerFormat("a container directory whose reserved bytes are not zero")
        found.append(DirectoryRow(offset, length, kind, keyring_id, key_id, id_, cid))
    return found


def encode_trailer(trailer: Trailer) -> bytes:
    head = _TRAILER.pack(
        _TRAILER_MAGIC, bytes(4), trailer.number, trailer.directory_offset, trailer.directory_length, trailer.records
    )
    return (head + checksum(head)).ljust(BLOCK_BYTES, b"\0")


def decode_trailer(block: bytes) -> Trailer:
    head = _checked_block(block, _TRAILER.size, "container trailer")
    magic, reserved, number, offset, length, records = _TRAILER.unpack(head)
    if magic != _TRAILER_MAGIC or any(reserved):
        # Not of a later version: a container that was never sealed may end in bytes of a customer.
        raise FormatError(f"container trailer: magic {magic.hex()} or a reserved byte is unknown")
    return Trailer(number, offset, length, records)


def _checked_block(block: bytes, size: int, name: str) -> bytes:
    head, check, rest = block[:size], block[size : size + CHECKSUM_BYTES], block[size + CHECKSUM_BYTES :]
    if len(block) != BLOCK_BYTES or checksum(head) != check:
        raise FormatError(f"{name}: length or checksum does not hold")
    if any(rest):
        raise FormatError(f"{name}: bytes after the checksum are not zero")
    return head
