"""Reads that come from the disk and not from the cache, for whoever wants to know what the disk holds.

Memory: one buffer for all reads. Threads: one at a time.
"""

import mmap
from pathlib import Path

from vaultd.store.disk_door import ALIGNMENT_BYTES, Door, Handle

PIECE_BYTES = 8 * 1024 * 1024


class UncachedDoor:
    def __init__(self, door: Door) -> None:
        self._door = door
        # Anonymous maps begin on a page, which direct reads need; a piece may begin and end within a block.
        self._buffer = memoryview(mmap.mmap(-1, PIECE_BYTES + 2 * ALIGNMENT_BYTES))

    def open_read(self, path: Path) -> Handle:
        return self._door.open_uncached(path)

    def close(self, handle: Handle) -> None:
        self._door.close(handle)

    def size(self, path: Path) -> int:
        return self._door.size(path)

    def drop_cache(self, handle: Handle, offset: int, length: int) -> None:
        """Nothing comes from there."""

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        """Fewer bytes than asked mean the end of the file."""
        pieces = []
        while length > 0:
            wanted = min(length, PIECE_BYTES)
            piece = bytes(self.view(handle, offset, wanted))
            pieces.append(piece)
            if len(piece) < wanted:
                break
            offset += wanted
            length -= wanted
        return b"".join(pieces)

    def view(self, handle: Handle, offset: int, length: int) -> memoryview:
        """PIECE_BYTES at most, in the buffer, so good until the next call; shorter than asked only at the end."""
        start = offset - offset % ALIGNMENT_BYTES
        end = offset + length
        aligned = end + -end % ALIGNMENT_BYTES - start
        count = self._door.read_uncached(handle, self._buffer[:aligned], start)
        return self._buffer[offset - start : min(end - start, count)]
