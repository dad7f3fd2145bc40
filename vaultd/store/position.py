"""A place in the journal, as index, catalog and checkpoints carry it."""

from typing import NamedTuple

FIRST_TIMELINE = 1
NO_HASH = bytes(32)


class Position(NamedTuple):
    """Right after the entry with this number and hash."""

    timeline: int
    number: int
    hash: bytes


START = Position(FIRST_TIMELINE, 0, NO_HASH)
