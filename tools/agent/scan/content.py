"""Reading files: opened without following links, compared with what was scanned, read again when they changed."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from blake3 import blake3

from tools.agent.chunks.chunk import PendingChunk
from tools.agent.scan.walk import Found
from tools.agent.system.holes import Stretch
from tools.client.chunker import CUT_FROM_BYTES, FileCutter

ATTEMPTS_MAX = 3
# What a file may hold whose status says that it is empty, as the files of /proc do.
SIZELESS_BYTES_MAX = 1 << 30
# Twice the longest chunk: what is left after the cuts is then moved at most once for each chunk.
_BUFFER_BYTES = 8 * 1024 * 1024

_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Replaced(OSError):
    """Something other than a file is under this name now, or another file each time."""


class TooLong(OSError):
    """The status says that it is empty, and it has no end."""


def open_found(found: Found) -> tuple[int, os.stat_result]:
    """The file that was scanned or one that took its place, with its status now; leaves the access time alone where
    it may."""
    scanned = found.status
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            scanned = os.stat(found.name, dir_fd=found.directory, follow_symlinks=False)
        if not stat.S_ISREG(scanned.st_mode):
            break
        descriptor = _open(found)
        if descriptor is None:
            continue
        status = os.fstat(descriptor)
        if (status.st_ino, status.st_dev) == (scanned.st_ino, scanned.st_dev) and stat.S_ISREG(status.st_mode):
            return descriptor, status
        os.close(descriptor)
    raise Replaced(f"{found.path!r} was replaced during the scan")


def _open(found: Found) -> int | None:
    """None when a link has taken its place."""
    try:
        try:
            return os.open(found.name, _OPEN_FILE | os.O_NOATIME, dir_fd=found.directory)
        except PermissionError:
            return os.open(found.name, _OPEN_FILE, dir_fd=found.directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def is_same(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def read_small(descriptor: int, before: os.stat_result) -> tuple[bytes, os.stat_result, bool]:
    """Content, status, and whether the file kept changing; never more than one byte above what the status said."""
    for attempt in range(ATTEMPTS_MAX):
        content = _read_up_to(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
        if len(content) == before.st_size and is_same(before, after):
            return content, after, False
        if attempt + 1 < ATTEMPTS_MAX and after.st_size < CUT_FROM_BYTES:
            before = after
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            break
    return content, after, True


def read_stretches(descriptor: int, stretches: Sequence[Stretch]) -> tuple[bytes, int]:
    """One after another, up to the first that is shorter than it was; and where the reading ended."""
    pieces = []
    end = 0
    for offset, length in stretches:
        end = offset
        while length and (piece := os.pread(descriptor, length, end)):
            pieces.append(piece)
            length -= len(piece)
            end += len(piece)
        if length:
            break
    return b"".join(pieces), end


def read_sizeless(descriptor: int, limit_bytes: int) -> bytes:
    """The content from the beginning on, up to a limit, of a file whose status does not say its size."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while limit_bytes > 0 and (piece := os.read(descriptor, limit_bytes)):
        pieces.append(piece)
        limit_bytes -= len(piece)
    return b"".join(pieces)


def _read_up_to(descriptor: int, limit_bytes: int) -> bytes:
    content = os.read(descriptor, limit_bytes)
    # A regular file gives less than was asked for only at its end or where it is cut off meanwhile.
    while 0 < len(content) < limit_bytes - 1:
        more = os.read(descriptor, limit_bytes - len(content))
        if not more:
            break
        content += more
    return content


class LargeFile:
    """One reading of a large file: iterate for its chunks, then look at `hash`, `size_bytes`, `end` and `is_changed`.

    `sizeless_bytes_max` is for a file whose status does not say its size; one byte more is TooLong. `stretches`: what
    of a sparse file is read, one after another; `size_bytes` counts what was read.
    """

    def __init__(
        self,
        descriptor: int,
        hash_key: bytes,
        cutter: FileCutter,
        sizeless_bytes_max: int | None = None,
        stretches: Sequence[Stretch] | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._hasher = blake3(key=hash_key)
        self._cutter = cutter
        self.before = os.fstat(descriptor)
        self._sizeless_bytes_max = sizeless_bytes_max
        self._stretches = None if stretches is None else list(stretches)
        self._expected_bytes = self._expect(sizeless_bytes_max)
        self._next = 0
        self.end = 0  # where in the file the reading ended
        self.status = self.before
        self.size_bytes = 0
        self.is_changed = False

    @property
    def hash(self) -> bytes:
        return self._hasher.digest()

    def __iter__(self) -> Iterator[PendingChunk]:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        buffer = bytearray(_BUFFER_BYTES)
        view = memoryview(buffer)
        held = 0
        is_final = False
        while not is_final:
            filled = self._fill(view[held:])
            self._hasher.update(view[held : held + filled])
            held += filled
            is_final = held < len(buffer) or self.size_bytes > self._expected_bytes
            if self._sizeless_bytes_max is not None and self.size_bytes > self._sizeless_bytes_max:
                raise TooLong("a file without a size is longer than what is read of one")
            start = 0
            for length in self._cutter.cut(view[:held], final=is_final):
                yield PendingChunk(bytes(view[start : start + length]))
                start += length
            view[: held - start] = view[start:held]  # may overlap: it is moved like memory
            held -= start
        self.status = os.fstat(self._descriptor)
        is_whole = self._sizeless_bytes_max is not None or self.size_bytes == self._expected_bytes
        self.is_changed = not is_whole or not is_same(self.before, self.status)

    def _expect(self, sizeless_bytes_max: int | None) -> int:
        if self._stretches is not None:
            return sum(length for _, length in self._stretches)
        return self.before.st_size if sizeless_bytes_max is None else sizeless_bytes_max

    def _fill(self, room: memoryview) -> int:
        if self._stretches is not None:
            return self._fill_from(self._stretches, room)
        return self._fill_on(room)

    def _fill_on(self, room: memoryview) -> int:
        """Stops a little above the size that was expected: one that grows for ever still ends."""
        filled = 0
        limit = max(0, self._expected_bytes - self.size_bytes) + 1
        room = room[:limit]
        while filled < len(room):
            count = os.readv(self._descriptor, [room[filled:]])
            if not count:
                break
            filled += count
        self.size_bytes += filled
        self.end += filled
        return filled

    def _fill_from(self, stretches: list[Stretch], room: memoryview) -> int:
        """Stops for good at a stretch that is shorter than it was."""
        filled = 0
        while filled < len(room) and self._next < len(stretches):
            offset, length = stretches[self._next]
            at = max(self.end, offset)
            left = offset + length - at
            count = os.preadv(self._descriptor, [room[filled : filled + left]], at) if left else 0
            self.end = at + count
            filled += count
            if count == left:
                self._next += 1
            elif not count:
                self._next = len(stretches)
        self.size_bytes += filled
        return filled
