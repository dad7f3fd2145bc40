"""A manifest: from the top block down to the entries, compared with the companions on the way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from .companion import Companion, hashes
from .damage import require
from .hashing import unpack

FILE, DIRECTORY, SYMBOLIC_LINK, FIFO, SOCKET, CHARACTER_DEVICE, BLOCK_DEVICE, REPARSE_POINT = range(1, 9)
LINK_TARGET, LINK_SET, DEVICE, ATTRIBUTES, HOLES, CREATED, WINDOWS, FLAGS, NAMES = range(1, 10)
STREAMS = 3
BELOW_UNKNOWN = 4
NOT_READ, PARTLY_UNKNOWN = 8, 16
KNOWN_FLAGS = 31
KNOWN_WINDOWS = range(1, 6)
EXTRAS_BYTES_MAX = 16_777_216


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
    left_out: tuple[str, ...] = ()
    extras_bytes: int = 0  # of an entry that continues: of the maps of all its parts


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


Warn = Callable[[str], None]


def print_warning(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)


def walk(top: Top, source: Source, warn: Warn = print_warning) -> Iterator[Entry]:
    """Whole entries of known kinds in order: an entry that continues comes once, with all that it has."""
    for entry in walk_whole(top, source):
        if not FILE <= entry.kind <= REPARSE_POINT:
            warn(f"{entry.path!r} is left out, its kind {entry.kind} is unknown")
            continue
        for extra in entry.left_out:
            warn(f"{entry.path!r} comes without its unknown extra {extra}")
        yield entry


def walk_whole(top: Top, source: Source) -> Iterator[Entry]:
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


def repeated(entry: Entry) -> tuple[object, ...]:
    e = entry
    return (e.kind, e.mode, e.uid, e.gid, e.user, e.group, e.mtime, e.size, e.hash)


def joined(first: Entry, more: Entry) -> Entry:
    path = first.path
    require(repeated(first) == repeated(more), f"two different entries have the path {path!r}")
    require(more.extents or more.extras or more.left_out, f"an entry continues {path!r} with nothing")
    extras, new = dict(first.extras), more.extras
    require(not (first.extents and (new or more.left_out)), f"extras of {path!r} come after its extents")
    require(new.keys() <= {ATTRIBUTES, HOLES, WINDOWS}, f"an extra of {path!r} may not stand in a continuing entry")
    if HOLES in new:
        extras[HOLES] = extras.get(HOLES, []) + new[HOLES]
        require_holes(extras[HOLES], path)
    if ATTRIBUTES in new:
        extras[ATTRIBUTES] = united(extras.get(ATTRIBUTES, {}), new[ATTRIBUTES], path)
    if WINDOWS in new:
        require(new[WINDOWS].keys() <= {STREAMS}, f"only streams of extra 7 of {path!r} may go on")
        before, more_streams = extras.get(WINDOWS, {}), new[WINDOWS].get(STREAMS, {})
        extras[WINDOWS] = before | {STREAMS: united(before.get(STREAMS, {}), more_streams, path)}
    size_bytes = (first.extras_bytes or len(msgpack.packb(first.extras))) + len(msgpack.packb(new))
    require(size_bytes <= EXTRAS_BYTES_MAX, f"the extras of {path!r} are too large")
    left_out = first.left_out + more.left_out
    extents = first.extents + more.extents
    return replace(first, extents=extents, extras=extras, left_out=left_out, extras_bytes=size_bytes)


def united(before: dict[Any, Any], more: dict[Any, Any], path: bytes) -> dict[Any, Any]:
    require(not before.keys() & more.keys(), f"a name is twice in the extras of {path!r}")
    return before | more


def require_holes(flat: list[int], path: bytes) -> None:
    end = 0
    for offset, length in zip(flat[::2], flat[1::2], strict=True):
        require(offset >= end and length > 0, f"a hole of {path!r} is out of order")
        end = offset + length


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
    require(FILE <= kind <= 255, f"{path!r} has kind {kind}")
    require(row[2] == row[2] & 0o7777, f"{path!r} has mode {row[2]:o}")
    extras, left_out = parse_extras(row[11] if len(row) == 12 else {}, path)
    require_fitting(kind, extras, path)
    fields = [*row[:10], parse_extents(flat, chunks, path), extras, left_out]
    return Entry(*fields)


def parse_extras(raw: dict[Any, Any], path: bytes) -> tuple[dict[int, Any], tuple[str, ...]]:
    """The known ones, and the names of the others."""
    require(all(isinstance(number, int) and number > 0 for number in raw), f"an extra of {path!r} has no number")
    extras = {number: value for number, value in raw.items() if number <= NAMES}
    left_out = [str(number) for number in raw if number > NAMES]
    if WINDOWS in extras:
        whole = extras[WINDOWS]
        require(all(isinstance(n, int) and n > 0 for n in whole), f"extra 7 of {path!r} has a key that is no number")
        extras[WINDOWS] = {number: value for number, value in whole.items() if number in KNOWN_WINDOWS}
        left_out += [f"7.{number}" for number in whole if number not in KNOWN_WINDOWS]
    if extras.get(FLAGS, 0) > KNOWN_FLAGS:
        left_out.append(f"8 bits {extras[FLAGS] & ~KNOWN_FLAGS:x}")
        extras[FLAGS] &= KNOWN_FLAGS
    require_holes(extras.get(HOLES, []), path)
    return extras, tuple(left_out)


def require_fitting(kind: int, extras: dict[int, Any], path: bytes) -> None:
    """What the page says about extras and kinds, and about what lies apart in the extents."""
    if LINK_SET in extras:
        link_set = extras[LINK_SET]
        require(kind != DIRECTORY, f"the directory {path!r} is in a set of hard links")
        require(isinstance(link_set, bytes) and len(link_set) == 16, f"the link set of {path!r} is not 16 bytes")
    if extras.get(FLAGS, 0) & (BELOW_UNKNOWN | PARTLY_UNKNOWN) and kind <= REPARSE_POINT:
        require(kind == DIRECTORY, f"{path!r} is no directory whose entries could be unknown")
    values = [value for value in extras.get(ATTRIBUTES, {}).values() if not isinstance(value, bytes)]
    streams = extras.get(WINDOWS, {}).get(STREAMS, {})
    require(all(isinstance(name, bytes) for name in streams), f"a stream of {path!r} has a name that is not bytes")
    for apart in [*values, *streams.values()]:
        require(isinstance(apart, list) and len(apart) == 2, f"something apart of {path!r} is not a size and a hash")
        require(apart[0] >= 0 and len(apart[1]) == 32, f"something apart of {path!r} has a wrong size or hash")


def is_same_file(one: Entry, other: Entry) -> bool:
    """Whether two entries are names of one file and may be restored as one."""
    if LINK_SET not in one.extras or one.extras[LINK_SET] != other.extras.get(LINK_SET):
        return False
    return repeated(one) == repeated(other) and one.extras == other.extras


def parse_extents(flat: list[int], chunks: tuple[bytes, ...], path: bytes) -> tuple[Extent, ...]:
    require(len(flat) % 3 == 0 and len(flat) <= 3 * 8192, f"the extents of {path!r} are not triples, or too many")
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    extents = []
    for chunk, offset, length in triples:
        require(0 <= chunk < len(chunks), f"an extent of {path!r} names chunk {chunk} of {len(chunks)}")
        extents.append(Extent(chunks[chunk], offset, length))
    return tuple(extents)


def content(entry: Entry, chunk: Callable[[bytes], bytes]) -> bytes:
    """What the file holds outside its holes: the extents one after another, without large attributes and streams."""
    parts = []
    for extent in entry.extents:
        part = chunk(extent.chunk)[extent.offset : extent.offset + extent.length]
        require(len(part) == extent.length, f"an extent of {entry.path!r} passes the end of its chunk")
        parts.append(part)
    data = b"".join(parts)
    return data[: len(data) - sum(size for size, _ in apart(entry, data))]


def apart(entry: Entry, data: bytes) -> list[tuple[int, bytes]]:
    """Size and hash of what follows the content: large attributes, then streams, each ascending by name."""
    attributes = sorted(entry.extras.get(ATTRIBUTES, {}).items())
    streams = sorted(entry.extras.get(WINDOWS, {}).get(STREAMS, {}).items())
    found = [(value[0], value[1]) for _, value in [*attributes, *streams] if not isinstance(value, bytes)]
    require(sum(size for size, _ in found) <= len(data), f"{entry.path!r} has fewer bytes than what lies apart")
    return found


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
