"""Where a sparse file has holes, as its file system tells: they are neither read nor stored, and come back as holes."""

import errno
import heapq
import os
from collections.abc import Iterator
from typing import NamedTuple

# Of more the shortest are read and stored as zero bytes: one file's list must not fill the memory.
HOLES_MAX = 100_000
_BLOCK_BYTES = 4096  # no file system has shorter holes
_STATUS_BLOCK_BYTES = 512

Stretch = tuple[int, int]
"""Offset and length in the file."""


class Layout(NamedTuple):
    """`data` and `holes` cover the file, each ascending."""

    data: list[Stretch]
    holes: list[Stretch]

    @property
    def data_bytes(self) -> int:
        return sum(length for _, length in self.data)

    def holes_before(self, end: int) -> list[Stretch]:
        """Those that a reading which stopped there has passed."""
        return [hole for hole in self.holes if sum(hole) <= end]


def may_have_holes(status: os.stat_result) -> bool:
    return status.st_size > _BLOCK_BYTES and status.st_blocks * _STATUS_BLOCK_BYTES < status.st_size


def find_layout(descriptor: int, size_bytes: int, holes_max: int = HOLES_MAX, begin: int = 0) -> Layout:
    """What lies where from `begin` up to `size_bytes`."""
    longest = heapq.nlargest(holes_max, _holes(descriptor, begin, size_bytes), key=lambda hole: hole[1])
    holes = sorted(longest)
    data = []
    at = begin
    for offset, length in [*holes, (size_bytes, 0)]:
        if offset > at:
            data.append((at, offset - at))
        at = offset + length
    return Layout(data, holes)


def _holes(descriptor: int, at: int, size_bytes: int) -> Iterator[Stretch]:
    while at < size_bytes:
        begin = _seek(descriptor, at, os.SEEK_HOLE, size_bytes)
        if begin >= size_bytes:
            return
        at = _seek(descriptor, begin, os.SEEK_DATA, size_bytes)
        if at > begin:
            yield begin, at - begin


def _seek(descriptor: int, at: int, what: int, size_bytes: int) -> int:
    try:
        return min(os.lseek(descriptor, at, what), size_bytes)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing more of it
            return size_bytes
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that does not tell: all of it is data
            return size_bytes if what == os.SEEK_HOLE else at
        raise
