"""A container: header block, records, padding, and in a sealed one the directory and the trailer."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from . import record
from .damage import require, require_zero
from .hashing import plain, require_checksum

BLOCK_BYTES = 4096
PADDING_HEADER_BYTES = 16
ROW = struct.Struct("<QIB3s16s16s32s32s")


@dataclass(frozen=True, slots=True)
class ContainerHeader:
    vault: bytes
    number: int
    created: int


@dataclass(frozen=True, slots=True)
class Place:
    """One record where it lies; cid is the hash of its bytes as they were read."""

    offset: int
    header: record.Header
    cid: bytes


@dataclass(frozen=True, slots=True)
class Row:
    offset: int
    length: int
    type: int
    keyring: bytes
    key: bytes
    id: bytes
    cid: bytes


@dataclass(frozen=True, slots=True)
class Trailer:
    number: int
    directory_offset: int
    directory_length: int
    records: int


@dataclass(frozen=True, slots=True)
class Scan:
    header: ContainerHeader
    places: list[Place]
    directory: list[Row] | None
    trailer: Trailer | None


def relative_path(number: int) -> str:
    return f"containers/{number // 1024:04x}/{number:012x}.container"


def parse_container_header(block: bytes) -> ContainerHeader:
    require(len(block) == BLOCK_BYTES, "a container is shorter than its header block")
    magic, version, reserved, vault, number, block_bytes, created = struct.unpack_from("<4sB3s16sQIq", block)
    require(magic == b"SSH1", f"{magic!r} is not the magic of a container")
    require_checksum(block[:52], 44, "a container header")
    require(version == 1, f"container version {version} is unknown")
    require(block_bytes == BLOCK_BYTES, f"a container has blocks of {block_bytes} bytes")
    require_zero(reserved + block[52:], "a container header")
    return ContainerHeader(vault, number, created)


def scan(data: bytes) -> Scan:
    """Everything in `data`: a whole sealed file, or an open one up to its acknowledged length."""
    header = parse_container_header(data[:BLOCK_BYTES])
    places: list[Place] = []
    position = BLOCK_BYTES
    while position < len(data):
        magic = data[position : position + 4]
        if magic == b"SSP1":
            position = skip_padding(data, position)
        elif magic == b"SSD1":
            return scan_end(data, position, header, places)
        else:
            place = place_at(data, position)
            places.append(place)
            position += place.header.length
    return Scan(header, places, None, None)


def require_named(scan: Scan, cids: list[bytes]) -> None:
    """Every record is one that the journal names, in the same order, and every one that it names is there."""
    require_held(scan, cids)
    held = [place.cid for place in scan.places]
    require(held == cids, f"container {scan.header.number} has records that the journal does not name there")


def require_held(scan: Scan, cids: list[bytes]) -> None:
    """Enough for a sealed one: a crash between the entry of its seal and the group leaves its end to its directory."""
    held = {place.cid for place in scan.places}
    lost = [cid.hex() for cid in cids if cid not in held]
    require(not lost, f"container {scan.header.number} lacks records that the journal names: {lost}")


def place_at(data: bytes, position: int) -> Place:
    header = record.parse_header(data[position : position + record.HEADER.size])
    whole = data[position : position + header.length]
    require(len(whole) == header.length, f"the record at {position} is cut short")
    return Place(position, header, record.cid(whole))


def skip_padding(data: bytes, position: int) -> int:
    head = data[position : position + PADDING_HEADER_BYTES]
    require(len(head) == PADDING_HEADER_BYTES, f"the padding at {position} is cut short")
    require_checksum(head, 8, f"the padding at {position}")
    (total,) = struct.unpack_from("<I", head, 4)
    end = position + total
    most = BLOCK_BYTES + PADDING_HEADER_BYTES - 1
    require(PADDING_HEADER_BYTES <= total <= most, f"the padding at {position} has {total} bytes")
    require(end % BLOCK_BYTES == 0 and end <= len(data), f"the padding at {position} does not end on a block boundary")
    require_zero(data[position + PADDING_HEADER_BYTES : end], f"the padding at {position}")
    return end


def scan_end(data: bytes, position: int, header: ContainerHeader, places: list[Place]) -> Scan:
    """The directory at `position`, its padding, and the trailer, which is the last block of the file."""
    require(position % BLOCK_BYTES == 0, "a directory does not begin on a block boundary")
    rows, end = parse_directory(data, position)
    after = end if end % BLOCK_BYTES == 0 else skip_padding(data, end)
    require(after + BLOCK_BYTES == len(data), "a container does not end with one block after its directory")
    trailer = parse_trailer(data[after:])
    expected = Trailer(header.number, position, end - position, len(rows))
    require(trailer == expected, f"the trailer says {trailer}, the container {expected}")
    require(rows == [row_of(place) for place in places], "the directory does not list the records of the container")
    return Scan(header, places, rows, trailer)


def row_of(place: Place) -> Row:
    header = place.header
    return Row(place.offset, header.length, header.type, header.keyring, header.key, header.id, place.cid)


def parse_directory(data: bytes, position: int) -> tuple[list[Row], int]:
    """The rows, and the offset after the hash that ends the directory."""
    require(position + 8 <= len(data), "a directory is cut short")
    (count,) = struct.unpack_from("<I", data, position + 4)
    hash_at = position + 8 + count * ROW.size
    require(hash_at + 32 <= len(data), "a directory is cut short")
    require(data[hash_at : hash_at + 32] == plain(data[position:hash_at]), "the hash of a directory is wrong")
    rows = []
    for at in range(position + 8, hash_at, ROW.size):
        offset, length, kind, reserved, keyring, key, chunk_id, cid = ROW.unpack_from(data, at)
        require_zero(reserved, "a directory row")
        rows.append(Row(offset, length, kind, keyring, key, chunk_id, cid))
    return rows, hash_at + 32


def parse_trailer(block: bytes) -> Trailer:
    magic, reserved, number, offset, length, records = struct.unpack_from("<4s4sQQQQ", block)
    require(magic == b"SSF1", f"{magic!r} is not the magic of a trailer")
    require_checksum(block[:48], 40, "a trailer")
    require_zero(reserved + block[48:], "a trailer")
    return Trailer(number, offset, length, records)
