"""A journal segment as bytes: header, entries, and the chain of hashes through them (docs/format.md#journal). Pure."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from struct import Struct as Layout
from typing import Any, NamedTuple

import msgspec
from blake3 import blake3
from msgspec import Struct

from vaultd.checksum import checksum
from vaultd.store.errors import FormatError, NewerFormat
from vaultd.store.position import Position

Change = tuple[str, bytes, bytes | None]  # table, key, value or None to remove

VERSION = 1
SEGMENT_HEADER_BYTES = 96
ENTRY_BYTES_MAX = 16 * 1024 * 1024
SUFFIX = ".journal"
_SEGMENT_MAGIC = b"SSG1"
_ENTRY_MAGIC = b"SSJ1"
_SEGMENT = Layout("<4sB3s16sI4sQ32sq8s")
_ENTRY = Layout("<4sIH2sIQq32s")
HASH_BYTES = 32
_ENTRY_BYTES_MIN = _ENTRY.size + HASH_BYTES


class EntryKind(IntEnum):
    group = 1
    container_sealed = 2
    catalog = 3
    slot = 4
    run_key = 5
    run_begin = 6
    run_end = 7
    root = 8
    supersede = 9
    drop = 10
    container_moved = 11


class JournalEntry(Struct, frozen=True):
    """What one entry says. Its changes reach the catalog together or not at all; those of two entries may not.

    `time_ns`: of one that was read, when it was written by the vault's clock; it decides nothing.
    """

    kind: int
    details: dict[str, Any] = {}
    changes: Sequence[Change] = ()
    time_ns: int = 0


class SegmentHeader(Struct, frozen=True):
    vault_id: bytes
    timeline: int
    first: int
    previous: bytes
    created_ns: int


class RawEntry(NamedTuple):
    """An entry whose length and hash hold; `data` is all of it."""

    kind: int
    position: Position
    time_ns: int
    previous: bytes
    data: memoryview
    unknown: str  # what of it this program does not know, empty for an entry of its own version

    def decode(self) -> JournalEntry:
        return decode_payload(self.kind, self.time_ns, self.data[_ENTRY.size : -HASH_BYTES])


class Segment(Struct, frozen=True):
    """The longest valid chain in the copies of one segment."""

    header: SegmentHeader
    data: memoryview
    entries: list[RawEntry]

    @property
    def end(self) -> Position:
        if self.entries:
            return self.entries[-1].position
        return Position(self.header.timeline, self.header.first - 1, self.header.previous)


class _Payload(Struct, forbid_unknown_fields=True):
    changes: list[tuple[str, bytes, bytes | None]]
    details: dict[str, Any]


_PAYLOAD = msgspec.msgpack.Decoder(_Payload)


def segment_name(first: int) -> str:
    return f"{first:016x}{SUFFIX}"


def segment_first(name: str) -> int | None:
    """The number that a segment's name carries; None for any other name."""
    stem = name.removesuffix(SUFFIX)
    if stem == name or len(stem) != 16 or set(stem) - set("0123456789abcdef"):
        return None
    return int(stem, 16)


def encode_segment_header(header: SegmentHeader) -> bytes:
    head = _SEGMENT.pack(
        _SEGMENT_MAGIC,
        VERSION,
        bytes(3),
        header.vault_id,
        header.timeline,
        bytes(4),
        header.first,
        header.previous,
        header.created_ns,
        bytes(8),
    )
    return head + checksum(head)


def decode_segment_header(data: bytes | memoryview, place: Path) -> SegmentHeader | None:
    """None where the checksum does not hold, as after a crash; an unknown version is an error."""
    head = bytes(data[:SEGMENT_HEADER_BYTES])
    if len(head) < SEGMENT_HEADER_BYTES or checksum(head[: _SEGMENT.size]) != head[_SEGMENT.size :]:
        return None
    magic, version, reserved, vault_id, timeline, reserved2, first, previous, created_ns, reserved3 = (
        _SEGMENT.unpack_from(head)
    )
    if magic != _SEGMENT_MAGIC or version != VERSION:
        raise NewerFormat(f"{place}: a journal segment with magic {magic.hex()} version {version}")
    if any(reserved) or any(reserved2) or any(reserved3):
        raise NewerFormat(f"{place}: a journal segment whose reserved bytes are not zero")
    return SegmentHeader(vault_id, timeline, first, previous, created_ns)


def encode_payload(entry: JournalEntry) -> bytes:
    """Refuses what would not fit an entry, before anything was written."""
    EntryKind(entry.kind)
    payload = msgspec.msgpack.encode({"changes": entry.changes, "details": entry.details})
    if len(payload) + _ENTRY_BYTES_MIN > ENTRY_BYTES_MAX:
        raise FormatError(f"journal entry: {len(payload)} bytes do not fit an entry of {ENTRY_BYTES_MAX} bytes")
    return payload


def decode_payload(kind: int, time_ns: int, payload: memoryview) -> JournalEntry:
    try:
        decoded = _PAYLOAD.decode(payload)
    except msgspec.DecodeError as error:
        raise FormatError(f"journal entry: payload is not as it should be: {error}") from None
    return JournalEntry(kind, decoded.details, decoded.changes, time_ns)


def encode_entry(kind: int, after: Position, time_ns: int, payload: bytes) -> tuple[bytes, Position]:
    """The entry that follows a position, and the position after it."""
    length = _ENTRY_BYTES_MIN + len(payload)
    number = after.number + 1
    head = _ENTRY.pack(_ENTRY_MAGIC, length, kind, bytes(2), after.timeline, number, time_ns, after.hash)
    body = head + payload
    digest = blake3(body).digest()
    return body + digest, Position(after.timeline, number, digest)


def decode_entry(data: memoryview, offset: int) -> RawEntry | None:
    """The entry at `offset`; None where length or hash do not hold, as at a torn tail."""
    if len(data) - offset < _ENTRY_BYTES_MIN:
        return None
    magic, length, kind, reserved, timeline, number, time_ns, previous = _ENTRY.unpack_from(data, offset)
    if not _ENTRY_BYTES_MIN <= length <= len(data) - offset:
        return None
    entry = data[offset : offset + length]
    digest = bytes(entry[-HASH_BYTES:])
    if blake3(entry[:-HASH_BYTES]).digest() != digest:
        return None
    return RawEntry(kind, Position(timeline, number, digest), time_ns, previous, entry, _unknown_in(entry))


def _unknown_in(head: memoryview) -> str:
    if len(head) < _ENTRY_BYTES_MIN:
        return ""
    magic, length, kind, reserved, *_ = _ENTRY.unpack_from(head)
    if magic != _ENTRY_MAGIC:
        return f"magic {magic.hex()}"
    if any(reserved):
        return f"reserved {reserved.hex()}"
    if kind not in EntryKind._value2member_map_:
        return f"kind {kind}"
    return f"length {length}" if length > ENTRY_BYTES_MAX else ""


def merge_segment(copies: Sequence[bytes], place: Path, previous: bytes | None = None) -> Segment | None:
    """Follows the chain through copies that were written alike, taking each entry from the first copy where it holds.

    A header that follows the entry with the hash `previous` is preferred. None if no copy has a valid header. What a
    later version wrote where the next entry should be is an error, in whichever copy.
    """
    views = [memoryview(copy) for copy in copies]
    headers = [decode_segment_header(view, place) for view in views]
    # What names another first entry is no copy: a power cut may leave an older segment's bytes in a new file.
    number = segment_first(place.name)
    valid = [(index, header) for index, header in enumerate(headers) if header and header.first == number]
    if not valid:
        return None
    chosen, header = next((found for found in valid if found[1].previous == previous), valid[0])
    pieces = [(chosen, 0, SEGMENT_HEADER_BYTES)]
    entries: list[RawEntry] = []
    position = Position(header.timeline, header.first - 1, header.previous)
    offset = SEGMENT_HEADER_BYTES
    while following := _next_entry(views, offset, position, place):
        index, entry = following
        entries.append(entry)
        pieces.append((index, offset, offset + len(entry.data)))
        offset += len(entry.data)
        position = entry.position
    return Segment(header, _join(views, pieces), entries)


def has_entry_after(copies: Sequence[bytes], offset: int, first: int = 0) -> bool:
    """Whether a whole entry, with the number `first` or a greater one, lies anywhere behind `offset`: then what is bad
    there is not just a torn tail.
    """
    return any(entry.position.number >= first for copy in copies for entry in entries_anywhere(copy, offset))


def entries_anywhere(copy: bytes, offset: int = 0) -> Iterator[RawEntry]:
    """Every whole entry behind `offset`, whatever lies between them."""
    at = copy.find(_ENTRY_MAGIC, offset)
    while at >= 0:
        entry = decode_entry(memoryview(copy), at)
        if entry:
            yield entry
        at = copy.find(_ENTRY_MAGIC, at + (len(entry.data) if entry else 1))  # what an entry holds is none


def _next_entry(views: Sequence[memoryview], offset: int, after: Position, place: Path) -> tuple[int, RawEntry] | None:
    for view in views:
        # Looked at first, because the hash of each copy of each entry would cost as much again.
        if (unknown := _unknown_in(view[offset:])) and decode_entry(view, offset):
            raise NewerFormat(f"{place}: entry {after.number + 1} with {unknown}")
    for index, view in enumerate(views):
        entry = decode_entry(view, offset)
        if entry and entry.previous == after.hash and entry.position.number == after.number + 1:
            return index, entry
    return None


def _join(views: Sequence[memoryview], pieces: list[tuple[int, int, int]]) -> memoryview:
    first = pieces[0][0]
    if all(index == first for index, _, _ in pieces):
        return views[first][: pieces[-1][2]]
    return memoryview(b"".join(views[index][start:end] for index, start, end in pieces))
