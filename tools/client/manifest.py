"""What a safeset contains: entries, leaf blocks and inner blocks (docs/format.md, Manifest); values and their bytes.

Reading trusts nothing: a block was sealed by somebody who holds the keyring, and a member of it may be hostile.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tools.client.record_format import PLAIN_BYTES_MAX, IntegrityError, RecordType
from tools.client.strict_msgpack import counted, elements, pack, sized, typed, unpack_array

VERSION = 1
LEVEL_MAX = 255
ENTRY_EXTENTS_MAX = 8_192
LEAF_CHUNKS_MAX = 8_192
INNER_ROWS_MAX = 4_096
PATH_BYTES_MAX = 65_536

_CHUNK_BYTES_MAX = PLAIN_BYTES_MAX[RecordType.DATA]
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1
_TIME_MAX = 2**63 - 1

Extent = tuple[bytes, int, int]  # chunk id, offset, length


class Kind(IntEnum):
    """What an entry is in the file system."""

    FILE = 1
    DIRECTORY = 2
    SYMBOLIC_LINK = 3
    FIFO = 4
    SOCKET = 5
    CHARACTER_DEVICE = 6
    BLOCK_DEVICE = 7
    REPARSE_POINT = 8


class Extra(IntEnum):
    """The numbers in an entry's map of extras."""

    LINK_TARGET = 1
    HARD_LINK = 2
    DEVICE = 3
    ATTRIBUTES = 4
    HOLES = 5
    CREATION_TIME = 6
    WINDOWS = 7
    FLAGS = 8


_EXTRA_TYPES: dict[int, type] = {1: bytes, 2: bytes, 3: list, 4: dict, 5: list, 6: int, 7: dict, 8: int}

_ALTERNATE_STREAMS = 3  # in the map of extra 7

FLAG_CHANGED_WHILE_READ = 1
FLAG_PARTLY_UNREADABLE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. A file with very many extents continues in the entry after it, with the same path."""

    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    user: str | None
    group: str | None
    mtime_ns: int
    size: int
    hash: bytes | None
    extents: tuple[Extent, ...] = ()
    extras: dict[int, Any] | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block of entries; `chunks` are the ids that the extents count in."""

    companion: bytes
    chunks: tuple[bytes, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What an inner block says about one block below it."""

    first: bytes
    last: bytes
    block: bytes
    companion: bytes
    entries: int
    content_bytes: int


@dataclass(frozen=True, slots=True)
class Inner:
    """A block of rows; level 1 lists leaves."""

    level: int
    companion: bytes
    rows: tuple[Row, ...]


def sort_key(path: bytes) -> bytes:
    """Paths are ordered by this: component by component, a directory before what is in it."""
    return path.replace(b"/", b"\0")


def check_path(path: bytes) -> None:
    """ValueError unless the path is absolute without its leading `/` and has only plain components."""
    if len(path) > PATH_BYTES_MAX:
        raise ValueError(f"a path has {len(path)} bytes, the manifest takes {PATH_BYTES_MAX}")
    framed = b"/" + path + b"/"
    if path and (b"//" in framed or b"/./" in framed or b"/../" in framed or b"\0" in path):
        raise ValueError(f"path {path!r} has a component that is empty, `.`, `..` or has a zero byte")


def pack_prefix(entry: Entry) -> bytes:
    """The msgpack of the ten elements before `extents`, without an array header: what a manifest writer takes."""
    e = entry
    check_path(e.path)
    return pack((e.path, int(e.kind), e.mode, e.uid, e.gid, e.user, e.group, e.mtime_ns, e.size, e.hash))[1:]


def pack_extras(entry: Entry) -> bytes | None:
    """The msgpack of the extras, or nothing where there are none."""
    return pack(entry.extras) if entry.extras else None


def has_streams(entry: Entry) -> bool:
    """Whether contents of alternate streams follow the entry's own `size` bytes in its extents."""
    return bool(entry.extras and entry.extras.get(Extra.WINDOWS, {}).get(_ALTERNATE_STREAMS))


def own_content_bytes(entry: Entry) -> int | None:
    """How many of the bytes of its extents are the entry's own, None: all of them."""
    if not has_streams(entry):
        return None
    holes = (entry.extras or {}).get(Extra.HOLES, [])
    return max(0, entry.size - sum(holes[1::2]))


def continues(entry: Entry, before: Entry | None) -> bool:
    """Whether the entry only goes on with the extents of the one before."""
    return before is not None and entry.path == before.path


def decode_block(plaintext: bytes) -> Leaf | Inner:
    """A manifest block; IntegrityError that names what is wrong with it."""
    array = unpack_array(plaintext, "manifest block")
    if len(array) < 4 or array[0] != VERSION:
        raise IntegrityError(f"the manifest block's version {array[:1]} is unknown to this program")
    level = counted(array[1], 0, LEVEL_MAX, "level")
    companion = sized(array[2], 32, "companion")
    if level:
        return _decode_inner(level, companion, elements(array, 4, "inner block")[3])
    _, _, _, chunks, entries = elements(array, 5, "leaf block")
    return _decode_leaf(companion, chunks, entries)


def _decode_leaf(companion: bytes, packed_chunks: Any, raw_entries: Any) -> Leaf:
    typed(packed_chunks, bytes, "chunks")
    if len(packed_chunks) % 32 or len(packed_chunks) > 32 * LEAF_CHUNKS_MAX:
        raise IntegrityError(f"the leaf's chunks have {len(packed_chunks)} bytes")
    chunks = tuple(packed_chunks[i : i + 32] for i in range(0, len(packed_chunks), 32))
    if any(a >= b for a, b in zip(chunks, chunks[1:], strict=False)):
        raise IntegrityError("the leaf's chunks are not ascending")
    entries = tuple(_decode_entry(raw, chunks) for raw in typed(raw_entries, list, "entries"))
    keys = [sort_key(entry.path) for entry in entries]
    for i in range(1, len(entries)):
        if keys[i - 1] >= keys[i] and not _goes_on(entries[i - 1], entries[i]):
            raise IntegrityError(f"the leaf's entries are out of order at {entries[i].path!r}")
    return Leaf(companion, chunks, entries)


def _goes_on(before: Entry, after: Entry) -> bool:
    def same(entry: Entry) -> tuple[object, ...]:
        return entry.path, entry.kind, entry.size, entry.hash

    return same(before) == same(after) and len(before.extents) > 0


def _decode_inner(level: int, companion: bytes, raw_rows: Any) -> Inner:
    rows = tuple(_decode_row(raw) for raw in typed(raw_rows, list, "rows"))
    if not 1 <= len(rows) <= INNER_ROWS_MAX:
        raise IntegrityError(f"an inner block has {len(rows)} rows")
    for before, after in zip(rows, rows[1:], strict=False):
        # A file that continues may end one block and begin the next.
        if sort_key(before.last) > sort_key(after.first):
            raise IntegrityError(f"the inner block's rows are out of order at {after.first!r}")
    return Inner(level, companion, rows)


def _decode_row(raw: Any) -> Row:
    first, last, block, companion, entries, content_bytes = elements(raw, 6, "row")
    if sort_key(typed(first, bytes, "first path")) > sort_key(typed(last, bytes, "last path")):
        raise IntegrityError(f"a row begins at {first!r}, after its end")
    return Row(
        first, last, sized(block, 32, "block"), sized(companion, 32, "companion"),
        counted(entries, 0, _U64_MAX, "entries below"), counted(content_bytes, 0, _U64_MAX, "bytes below"),
    )  # fmt: skip


def _decode_entry(raw: Any, chunks: tuple[bytes, ...]) -> Entry:
    if type(raw) is not list or len(raw) not in (11, 12):
        raise IntegrityError("an entry is not an array of 11 or 12 elements")
    path, kind, mode, uid, gid, user, group, mtime_ns, size, hash, extents = raw[:11]
    try:
        check_path(typed(path, bytes, "path"))
    except ValueError as error:
        raise IntegrityError(str(error)) from None
    counted(kind, min(Kind), max(Kind), "kind")
    counted(mode, 0, 0o7777, "mode")
    counted(uid, 0, _U32_MAX, "uid")
    counted(gid, 0, _U32_MAX, "gid")
    counted(mtime_ns, -_TIME_MAX - 1, _TIME_MAX, "mtime")
    counted(size, 0, _TIME_MAX, "size")
    if type(user) not in (str, type(None)) or type(group) not in (str, type(None)):
        raise IntegrityError(f"user or group of {path!r} is neither text nor nil")
    if hash is not None:
        sized(hash, 32, "hash")
    return Entry(
        path, kind, mode, uid, gid, user, group, mtime_ns, size, hash,
        _decode_extents(extents, chunks), _decode_extras(raw[11]) if len(raw) == 12 else None,
    )  # fmt: skip


def _decode_extents(flat: Any, chunks: tuple[bytes, ...]) -> tuple[Extent, ...]:
    if type(flat) is not list or len(flat) % 3 or len(flat) > 3 * ENTRY_EXTENTS_MAX:
        raise IntegrityError("an entry's extents are not triples, or are too many")
    extents = []
    for i in range(0, len(flat), 3):
        ordinal = counted(flat[i], 0, len(chunks) - 1, "an extent's chunk")
        offset = counted(flat[i + 1], 0, _CHUNK_BYTES_MAX, "an extent's offset")
        length = counted(flat[i + 2], 1, _CHUNK_BYTES_MAX - offset, "an extent's length")
        extents.append((chunks[ordinal], offset, length))
    return tuple(extents)


def _decode_extras(raw: Any) -> dict[int, Any]:
    if type(raw) is not dict:
        raise IntegrityError("an entry's extras are not a map")
    for number, value in raw.items():
        if type(value) is not _EXTRA_TYPES.get(number):
            raise IntegrityError(f"extra {number!r} is unknown to this program or has the wrong type")
    if _ALTERNATE_STREAMS in raw.get(Extra.WINDOWS, ()):
        _check_streams(raw[Extra.WINDOWS][_ALTERNATE_STREAMS])
    for number in (Extra.DEVICE, Extra.HOLES):
        for value in raw.get(number, ()):
            counted(value, 0, _U64_MAX, f"a number in extra {number}")
    return raw


def _check_streams(raw: Any) -> None:
    for name, stream in typed(raw, dict, "an entry's alternate streams").items():
        size, hash = elements(stream, 2, f"alternate stream {name!r}")
        typed(name, str, "an alternate stream's name")
        counted(size, 0, _TIME_MAX, "an alternate stream's size")
        sized(hash, 32, "an alternate stream's hash")
