"""The extents of one path as bytes, 40 for each: as objects those of a file of terabytes would fill the memory."""

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from tools.agent.chunk import PendingChunk

_EXTENT = struct.Struct("<32sII")

IdentifiedExtent = tuple[bytes, int, int]
"""Id of a chunk, offset and length."""


def pack_extents(extents: Iterable[IdentifiedExtent]) -> bytes:
    return b"".join([_EXTENT.pack(*extent) for extent in extents])


class PackedExtents(Sequence[IdentifiedExtent]):
    """Looks like a list; what is asked for is unpacked then."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed) // _EXTENT.size

    def __iter__(self) -> Iterator[IdentifiedExtent]:
        return _EXTENT.iter_unpack(self._packed)

    @overload
    def __getitem__(self, index: int) -> IdentifiedExtent: ...
    @overload
    def __getitem__(self, index: slice) -> list[IdentifiedExtent]: ...
    def __getitem__(self, index: int | slice) -> IdentifiedExtent | list[IdentifiedExtent]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            id, offset, length = _EXTENT.unpack_from(self._packed, numbers * _EXTENT.size)
            return id, offset, length
        if numbers.step != 1:
            raise ValueError("extents are taken one after another")
        return list(_EXTENT.iter_unpack(self._packed[numbers.start * _EXTENT.size : numbers.stop * _EXTENT.size]))


class ChunkList:
    """Whole chunks that follow each other, for the scanning thread until their file's row is handed over.

    Invariant: only chunks without an id, which are those on their way to the vault, are held as objects.
    """

    def __init__(self) -> None:
        self._packed = bytearray()
        self._waiting: deque[PendingChunk] = deque()

    def add(self, chunk: PendingChunk) -> None:
        self._waiting.append(chunk)
        self._pack_identified()

    def packed(self) -> bytes:
        """All of them, when all have their ids."""
        self._pack_identified()
        if self._waiting:
            raise ValueError("a chunk of the row has no id yet")
        return bytes(self._packed)

    def _pack_identified(self) -> None:
        waiting = self._waiting
        while waiting and (id := waiting[0].id):
            self._packed += _EXTENT.pack(id, 0, waiting.popleft().size_bytes)
