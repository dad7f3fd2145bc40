"""One open container: records are copied into one page-aligned buffer and written in whole blocks.

Invariants: what was written is a multiple of the block size; a commit ends on a block boundary, so an acknowledged
block is never written again; after a failed write or sync the writer refuses everything (broken stays broken).
Threads: the writer thread only.
"""

import mmap
from pathlib import Path

from msgspec import Struct

from vaultd.store.containers.format import (
    BLOCK_BYTES,
    DIRECTORY_ROW_BYTES,
    ContainerHeader,
    DirectoryRow,
    Trailer,
    encode_directory,
    encode_header,
    encode_padding_to_boundary,
    encode_row,
    encode_trailer,
)
from vaultd.store.disk_door import Door, Handle
from vaultd.store.errors import StoreBroken

BUFFER_BYTES = 4 * 1024 * 1024
_CID_BYTES = 32  # the end of a directory row


class ResumedContainer(Struct, frozen=True):
    """An open container of an earlier start: undamaged, with the directory rows of all its records."""

    number: int
    acknowledged_length: int
    rows: bytes


def allocate_buffer() -> mmap.mmap:
    """Anonymous maps begin on a page boundary, which direct writes need."""
    return mmap.mmap(-1, BUFFER_BYTES)


class ContainerWriter:
    def __init__(self, door: Door, handle: Handle, number: int, buffer: mmap.mmap) -> None:
        """Use `create` or `resume`. The buffer belongs to the writer until it was sealed or closed."""
        self.number = number
        self.length = 0
        self.acknowledged_length = 0
        self._door = door
        self._handle = handle
        self._buffer = memoryview(buffer)
        self._fill = 0
        self._written = 0
        self._rows = bytearray()
        self._named_bytes = 0  # of `_rows`: what `take_cids` has given
        self._broken = False

    @classmethod
    def create(cls, door: Door, path: Path, header: ContainerHeader, buffer: mmap.mmap) -> "ContainerWriter":
        """A new file; its directory is the caller's to sync before anything in it is acknowledged."""
        writer = cls(door, door.open_new(path, direct=True), header.number, buffer)
        writer._put(encode_header(header))
        return writer

    @classmethod
    def resume(cls, door: Door, path: Path, resumed: ResumedContainer, buffer: mmap.mmap) -> "ContainerWriter":
        """Goes on at the acknowledged length; `rows` describe every record before it."""
        writer = cls(door, door.open_write(path, direct=True), resumed.number, buffer)
        writer.length = writer.acknowledged_length = writer._written = resumed.acknowledged_length
        writer._rows += resumed.rows
        writer._named_bytes = len(resumed.rows)
        return writer

    @property
    def is_dirty(self) -> bool:
        return self.length != self.acknowledged_length

    def append(self, record: bytes | memoryview, row: DirectoryRow) -> None:
        """`row.offset` is `length` as it was before the call."""
        self._put(record)
        self._rows += encode_row(row)

    @property
    def records(self) -> int:
        return len(self._rows) // DIRECTORY_ROW_BYTES

    @property
    def named_rows(self) -> bytes:
        """Encoded directory rows of the records of which `take_cids` has told."""
        return bytes(self._rows[: self._named_bytes])

    def take_cids(self) -> bytes:
        """Of the records that were appended since the last call, in order."""
        new = self._rows[self._named_bytes :]
        self._named_bytes = len(self._rows)
        return b"".join(
            new[at - _CID_BYTES : at] for at in range(DIRECTORY_ROW_BYTES, len(new) + 1, DIRECTORY_ROW_BYTES)
        )

    def commit(self) -> int:
        """Everything appended is on the disk when this returns; the new acknowledged length."""
        if self.is_dirty:
            self._pad()
            self._flush()
            self._sync()
            self.acknowledged_length = self.length
        return self.length

    def seal(self) -> int:
        """Ends the container with directory and trailer, durable; the writer is done afterwards."""
        self._pad()
        directory = encode_directory(self._rows)
        trailer = Trailer(self.number, self.length, len(directory), self.records)
        self._put(directory)
        self._pad()
        self._put(encode_trailer(trailer))
        self._flush()
        self._sync()
        self.close()
        return self.length

    def close(self) -> None:
        """What was not committed is dropped; recovery cuts it."""
        if not self._broken:
            self._broken = True
            self._door.close(self._handle)

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        if self._broken:
            raise StoreBroken(f"{self._handle.path} takes no more bytes: it was closed or a write to it failed")
        size = len(data)
        fill = self._fill
        if fill + size < BUFFER_BYTES:
            self._buffer[fill : fill + size] = data
            self._fill = fill + size
        else:
            self._put_in_parts(memoryview(data))
        self.length += size

    def _put_in_parts(self, rest: memoryview) -> None:
        while rest:
            part = rest[: BUFFER_BYTES - self._fill]
            self._buffer[self._fill : self._fill + len(part)] = part
            self._fill += len(part)
            rest = rest[len(part) :]
            if self._fill == BUFFER_BYTES:
                self._flush()

    def _pad(self) -> None:
        self._put(encode_padding_to_boundary(self.length))

    def _flush(self) -> None:
        """The buffer holds whole blocks here: it is full, or padded to a boundary."""
        assert self._fill % BLOCK_BYTES == 0
        if not self._fill:
            return
        try:
            self._door.pwrite(self._handle, self._buffer[: self._fill], self._written)
        except BaseException:
            self._break()
            raise
        self._written += self._fill
        self._fill = 0

    def _sync(self) -> None:
        try:
            self._door.fdatasync(self._handle)
        except BaseException:
            self._break()
            raise

    def _break(self) -> None:
        # The pages of a failed write are gone or marked clean: nothing may be built on this file any more.
        if not self._broken:
            self._broken = True
            self._door.close(self._handle)
