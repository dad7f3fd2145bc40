"""A stretch of a restore: entries in order with the chunks that they need, small enough to be held in memory."""

from dataclasses import dataclass, field

import trio

from tools.client.manifest import Entry
from tools.client.record_format import IntegrityError


class OutOfReach(IntegrityError):
    """The vault holds it on a disk that is away: nothing is damaged."""


class Slot:
    """A chunk that was or will be fetched; several windows may share it."""

    __slots__ = ("content", "size_bytes")

    def __init__(self, size_bytes: int) -> None:
        self.content: bytes | IntegrityError | None = None
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """A directory or link, or a file whose parts follow."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Above:
    """A directory above what was selected: it gets its metadata where it has to be made, else it stays as it is."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Part:
    """The next bytes of the file that was begun last."""

    slot: Slot
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class End:
    """The file is whole."""


@dataclass(frozen=True, slots=True)
class Name:
    """One more name of the file that was restored at `first`, or stayed there."""

    entry: Entry
    first: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """It stays where it is, because it is what would be written: further names of it may be given, or it should be one
    file with what is at `first`.
    """

    entry: Entry
    first: bytes | None


Step = Above | Begin | Part | End | Name | Left


@dataclass(slots=True)
class Window:
    """`fetched` are the chunks that this window is the first to need; `fetched_bytes` is an estimate."""

    steps: list[Step] = field(default_factory=list)
    fetched: dict[bytes, Slot] = field(default_factory=dict)
    fetched_bytes: int = 0
    is_ready: trio.Event = field(default_factory=trio.Event)
