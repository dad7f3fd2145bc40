"""A manifest: from the top block down to the entries, compared with the companions on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .companion import Companion, hashes
from .damage import require
from .hashing import unpack

FILE, DIRECTORY, SYMBOLIC_LINK, FIFO, SOCKET, CHARACTER_DEVICE, BLOCK_DEVICE, REPARSE_POINT = range(1, 9)
LINK_TARGET, HARD_LINK, DEVICE, ATTRIBUTES, HOLES, CREATED, WINDOWS, FLAGS = range(1, 9)
STREAMS = 3


@dataclass(frozen=True, slots=True)
class Extent:
    chunk: bytes
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    user: str | None
    group: str | None
    mtime: int
    size: int
    hash: bytes | None
    extents: tuple[Extent, ...]
    extras: dict[int, Any]


@dataclass(frozen=True, slots=True)
class Top:
    block: bytes
    companion: bytes
    level: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where blocks and companions come from: the opened plaintext of an id, and the companion of an id."""

    block: Callable[[bytes], bytes]
    companion: Callable[[bytes], Companion]


def sort_key(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def walk(top: Top, source: Source) -> Iterator[Entry]:
    """Whole entries in order: an entry that continues comes once, with all its extents."""
    pending: Entry | None = None
    for entry in walk_stored(top, source):
        if pending is None:
            pending = entry
        elif entry.path == pending.path:
            pending = joined(pending, entry)
        else:
            require(sort_key(pending.path) < sort_key(entry.path), f"{entry.path!r} is out of order")
            yield pending
            pending = entry
    if pending is not None:
        yield pending


def joined(first: Entry, more: Entry) -> Entry:
    same = (first.kind, first.size, first.hash) == (more.kind, more.size, more.hash)
    require(same and first.kind == FILE, f"two different entries have the path {first.path!r}")
    return replace(first, extents=first.extents + more.extents, extras=more.extras | first.extras)


def walk_stored(top: Top, source: Source) -> Iterator[Entry]:
    """Entries as they are stored, one leaf after the other."""
    value = unpack(source.block(top.block), "a manifest block")
    require(isinstance(value, list) and len(value) >= 4 and value[0] == 1, "a manifest block has an unknown version")
    require(value[1] == top.level, f"a manifest block has level {value[1]} instead of {top.level}")
    require(value[2] == top.companion, "a manifest block names another companion than the block above it")
    companion = source.companion(top.companion)
    require(companion.level == top.level, "a companion has another level than its block")
    if top.level == 0:
        yield from leaf_entries(value, companion)
    else:
        yield from inner_entries(value, companion, source)


def leaf_entries(value: list[Any], companion: Companion) -> Iterator[Entry]:
    require(len(value) == 5, "a leaf block is not an array of 5")
    chunks = hashes(value[3])
    require(chunks == companion.ids, "the companion of a leaf does not list its chunks")
    for row in value[4]:
        yield parse_entry(row, chunks)


def inner_entries(value: list[Any], companion: Companion, source: Source) -> Iterator[Entry]:
    require(len(value) == 4, "an inner block is not an array of 4")
    rows = value[3]
    blocks, children = tuple(sorted({row[2] for row in rows})), tuple(row[3] for row in rows)
    require(companion.ids == blocks, "the companion of an inner block lists other blocks")
    require(companion.children == children, "the companion of an inner block lists other companions")
    for first, last, block, child, entries_below, _ in rows:
        count, path = 0, None
        for entry in walk_stored(Top(block, child, value[1] - 1), source):
            require(count > 0 or entry.path == first, f"a block begins with {entry.path!r} instead of {first!r}")
            count, path = count + 1, entry.path
            yield entry
        require((path, count) == (last, entries_below), f"a block ends with entry {count}, {path!r}, unlike its row")


def parse_entry(row: list[Any], chunks: tuple[bytes, ...]) -> Entry:
    require(len(row) in (11, 12), "an entry is not an array of 11 or 12")
    path, kind, flat = row[0], row[1], row[10]
    require(isinstance(path, bytes), "a path is not bytes")
    require(path == b"" or not {b"", b".", b".."} & set(path.split(b"/")), f"the path {path!r} has a wrong component")
    require(FILE <= kind <= REPARSE_POINT, f"{path!r} has the unknown kind {kind}")
    require(row[2] == row[2] & 0o7777, f"{path!r} has mode {row[2]:o}")
    extras = row[11] if len(row) == 12 else {}
    fields = [*row[:10], parse_extents(flat, chunks, path), extras]
    return Entry(*fields)


def parse_extents(flat: list[int], chunks: tuple[bytes, ...], path: bytes) -> tuple[Extent, ...]:
    require(len(flat) % 3 == 0 and len(flat) <= 3 * 8192, f"the extents of {path!r} are not triples, or too many")
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    extents = []
    for chunk, offset, length in triples:
        require(0 <= chunk < len(chunks), f"an extent of {path!r} names chunk {chunk} of {len(chunks)}")
        extents.append(Extent(chunks[chunk], offset, length))
    return tuple(extents)


def content(entry: Entry, chunk: Callable[[bytes], bytes]) -> bytes:
    """What the file holds outside its holes: the concatenation of the extents, without the alternate streams."""
    parts = []
    for extent in entry.extents:
        part = chunk(extent.chunk)[extent.offset : extent.offset + extent.length]
        require(len(part) == extent.length, f"an extent of {entry.path!r} passes the end of its chunk")
        parts.append(part)
    data = b"".join(parts)
    streams = entry.extras.get(WINDOWS, {}).get(STREAMS, {})
    own = len(data) - sum(size for size, _ in streams.values())
    require(own >= 0, f"{entry.path!r} has fewer bytes than its streams")
    return data[:own]


def file_bytes(entry: Entry, data: bytes) -> bytes:
    """The file as a program reads it: the content with its holes as zero bytes."""
    flat = entry.extras.get(HOLES, [])
    whole, taken = bytearray(), 0
    for offset, length in zip(flat[::2], flat[1::2], strict=True):
        until = taken + offset - len(whole)
        require(taken <= until <= len(data), f"a hole of {entry.path!r} is out of order")
        whole += data[taken:until] + bytes(length)
        taken = until
    whole += data[taken:]
    require(len(whole) == entry.size, f"{entry.path!r} has {len(whole)} bytes instead of {entry.size}")
    return bytes(whole)
