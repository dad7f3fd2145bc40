"""What a safeset contains: entries, leaf blocks and inner blocks (docs/format.md, Manifest)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

VERSION = 1
LEVEL_MAX = 16
ENTRY_EXTENTS_MAX = 8_192
LEAF_CHUNKS_MAX = 8_192
INNER_ROWS_MAX = 4_096
PATH_BYTES_MAX = 262_144
# All extras of a path together, when it needs several entries for them; whoever restores it holds them in memory.
EXTRAS_BYTES_MAX = 16_777_216

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


KNOWN_KINDS = frozenset(Kind)


class Extra(IntEnum):
    """The numbers in an entry's map of extras."""

    LINK_TARGET = 1
    LINK_SET = 2
    DEVICE = 3
    ATTRIBUTES = 4
    HOLES = 5
    CREATION_TIME = 6
    WINDOWS = 7
    FLAGS = 8
    NAMES = 9  # how many the file of a link set had


class Windows(IntEnum):
    """The numbers in the map of extra 7."""

    SECURITY_DESCRIPTOR = 1
    ATTRIBUTES = 2
    ALTERNATE_STREAMS = 3
    SHORT_NAME = 4
    REPARSE_DATA = 5


FLAG_CHANGED_WHILE_READ = 1
FLAG_PARTLY_UNREADABLE = 2
FLAG_BELOW_UNKNOWN = 4
FLAG_NOT_READ = 8
FLAG_PARTLY_UNKNOWN = 16
FLAGS_KNOWN = (
    FLAG_CHANGED_WHILE_READ | FLAG_PARTLY_UNREADABLE | FLAG_BELOW_UNKNOWN | FLAG_NOT_READ | FLAG_PARTLY_UNKNOWN
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. `is_continuation`: only its extents are new, they go on after those of the entry before it.

    `kind` may be a number of a later version. `has_unknown`: extras of a later version were left out.
    """

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
    has_unknown: bool = False
    is_continuation: bool = False


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


def has_streams(entry: Entry) -> bool:
    """Whether contents of alternate streams follow the entry's own bytes in its extents."""
    return bool(entry.extras and entry.extras.get(Extra.WINDOWS, {}).get(Windows.ALTERNATE_STREAMS))


def own_content_bytes(entry: Entry) -> int | None:
    """How many of the bytes of its extents are the entry's own, None: all of them. Behind them lies what its extras
    say, also those of a later version."""
    extras = entry.extras or {}
    large = [value for value in extras.get(Extra.ATTRIBUTES, {}).values() if type(value) is not bytes]
    if not large and not has_streams(entry) and not entry.has_unknown:
        return None
    holes = extras.get(Extra.HOLES, [])
    return max(0, entry.size - sum(holes[1::2]))
