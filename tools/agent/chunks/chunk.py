"""A piece of content on its way to the vault, from the reading of a file until its record is sealed."""

from typing import NamedTuple


class PendingChunk:
    """Made by the scanning thread; a worker sets `id`, and `content` is dropped when it is sealed or known to be there.

    Rows refer to the object before the id is known.
    """

    __slots__ = ("content", "id", "size_bytes")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size_bytes = len(content)
        self.id = b""

    def fill(self, content: bytes) -> None:
        self.content = content
        self.size_bytes = len(content)


class Extent(NamedTuple):
    """A part of a chunk; a file's content is its extents in order."""

    chunk: PendingChunk
    offset: int
    length: int
