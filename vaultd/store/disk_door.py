"""The one door to the file system: every byte of containers, journal, checkpoints and keys passes here, so that tests
can lie.

A call raises OSError as the system gave it; nothing is retried, but for what a file system refuses only because it was
direct.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
UNFINISHED_SUFFIX = ".tmp"
ALIGNMENT_BYTES = 4096  # of everything that goes past the cache
_BTRFS_SYNC = 0x9408  # the ioctl that ends btrfs's transaction; others do not know it
_NOT_KNOWN = (errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Handle:
    """An open file; `direct` says whether what is written, or read by `read_uncached`, goes past the page cache."""

    __slots__ = ("descriptor", "direct", "path")

    def __init__(self, descriptor: int, path: Path, *, direct: bool) -> None:
        self.descriptor = descriptor
        self.path = path
        self.direct = direct


class ReadingDoor(Protocol):
    """What is needed to read a file."""

    def open_read(self, path: Path) -> Handle: ...
    def close(self, handle: Handle) -> None: ...
    def read(self, handle: Handle, offset: int, length: int) -> bytes: ...
    def drop_cache(self, handle: Handle, offset: int, length: int) -> None: ...
    def size(self, path: Path) -> int: ...


class Door(ReadingDoor, Protocol):
    def open_new(self, path: Path, *, direct: bool = False) -> Handle: ...
    def open_write(self, path: Path, *, direct: bool = False) -> Handle: ...
    def open_uncached(self, path: Path) -> Handle: ...
    def read_uncached(self, handle: Handle, view: memoryview, offset: int) -> int: ...
    def pwrite(self, handle: Handle, view: bytes | bytearray | memoryview, offset: int) -> None: ...
    def fdatasync(self, handle: Handle) -> None: ...
    def truncate(self, handle: Handle, length: int) -> None: ...
    def exists(self, path: Path) -> bool: ...
    def listdir(self, path: Path) -> Sequence[str]: ...
    def mkdir(self, path: Path) -> None: ...
    def rename(self, old: Path, new: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def fsync_directory(self, path: Path) -> None: ...
    def space(self, path: Path) -> tuple[int, int]: ...
    def settle_space(self, path: Path) -> None: ...
    def is_read_only(self, path: Path) -> bool: ...


class SystemDoor:
    """The real file system."""

    def open_new(self, path: Path, *, direct: bool = False) -> Handle:
        return self._open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, direct=direct)

    def open_write(self, path: Path, *, direct: bool = False) -> Handle:
        return self._open(path, os.O_RDWR, direct=direct)

    def open_read(self, path: Path) -> Handle:
        return self._open(path, os.O_RDONLY, direct=False)

    def open_uncached(self, path: Path) -> Handle:
        return self._open(path, os.O_RDONLY, direct=True)

    def read_uncached(self, handle: Handle, view: memoryview, offset: int) -> int:
        """Fills `view` with what lies on the disk, whatever the cache says; fewer bytes mean the end of the file.

        Its length, its address and `offset` are multiples of ALIGNMENT_BYTES.
        """
        done = 0
        while done < len(view):
            count = self._read_from_disk(handle, view[done:], offset + done)
            done += count
            if not count or count % ALIGNMENT_BYTES:
                break
        return done

    def close(self, handle: Handle) -> None:
        os.close(handle.descriptor)

    def pwrite(self, handle: Handle, view: bytes | bytearray | memoryview, offset: int) -> None:
        """Writes all of `view`; a short write goes on where it stopped."""
        rest = memoryview(view)
        while rest:
            try:
                with _named(handle.path):
                    written = os.pwrite(handle.descriptor, rest, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not handle.direct:
                    raise
                # A refused direct write has written nothing, so it is not a repeated one.
                _end_direct(handle)
                continue
            if written == 0:
                raise OSError(errno.EIO, "the system wrote nothing", str(handle.path))
            rest = rest[written:]
            offset += written

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        """Fewer bytes than asked mean the end of the file."""
        data = _pread(handle, length, offset)
        if len(data) == length or not data:
            return data
        pieces = [data]
        done = len(data)
        while done < length:
            data = _pread(handle, length - done, offset + done)
            if not data:
                break
            pieces.append(data)
            done += len(data)
        return b"".join(pieces)

    def fdatasync(self, handle: Handle) -> None:
        with _named(handle.path):
            os.fdatasync(handle.descriptor)

    def truncate(self, handle: Handle, length: int) -> None:
        with _named(handle.path):
            os.ftruncate(handle.descriptor, length)

    def drop_cache(self, handle: Handle, offset: int, length: int) -> None:
        """Makes the next read of these bytes come from the disk."""
        os.posix_fadvise(handle.descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def size(self, path: Path) -> int:
        return os.stat(path).st_size

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def listdir(self, path: Path) -> Sequence[str]:
        return sorted(os.listdir(path))

    def mkdir(self, path: Path) -> None:
        os.mkdir(path, DIRECTORY_MODE)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def fsync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with _named(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, path: Path) -> tuple[int, int]:
        """(total, free for us) in bytes; nothing is free where a kernel that met errors has made it read-only."""
        facts = os.statvfs(path)
        is_writable = not facts.f_flag & os.ST_RDONLY
        return facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize * is_writable

    def is_read_only(self, path: Path) -> bool:
        """Also one that a kernel that met errors has made so; one that does not even answer is not."""
        try:
            return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            return False

    def settle_space(self, path: Path) -> None:
        """Makes `space` tell of everything that was written: btrfs counts only what it has committed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _BTRFS_SYNC)
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
        finally:
            os.close(descriptor)

    def _read_from_disk(self, handle: Handle, view: memoryview, offset: int) -> int:
        if handle.direct:
            try:
                with _named(handle.path):
                    return os.preadv(handle.descriptor, [view], offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                _end_direct(handle)
        self.drop_cache(handle, offset, len(view))
        with _named(handle.path):
            count = os.preadv(handle.descriptor, [view], offset)
        self.drop_cache(handle, offset, len(view))  # nobody else asked for these bytes: they displace no others
        return count

    def _open(self, path: Path, flags: int, *, direct: bool) -> Handle:
        if direct:
            try:
                return Handle(os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC, FILE_MODE), path, direct=True)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Some file systems make the file before they refuse the flag.
                flags &= ~os.O_EXCL
        return Handle(os.open(path, flags | os.O_CLOEXEC, FILE_MODE), path, direct=False)


def _end_direct(handle: Handle) -> None:
    """Some file systems take the flag and refuse what is asked for under it."""
    flags = fcntl.fcntl(handle.descriptor, fcntl.F_GETFL)
    fcntl.fcntl(handle.descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    handle.direct = False


def _pread(handle: Handle, length: int, offset: int) -> bytes:
    with _named(handle.path):
        return os.pread(handle.descriptor, length, offset)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Calls on a descriptor do not say of which file; whoever has to make room must know."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def read_file(door: Door, path: Path) -> bytes:
    handle = door.open_read(path)
    try:
        return door.read(handle, 0, door.size(path))
    finally:
        door.close(handle)


def is_gone(door: Door, path: Path) -> bool:
    """Whether the disk says that it is not there; `exists` is false for whatever goes wrong."""
    if door.exists(path):
        return False
    try:
        door.size(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def write_file(door: Door, path: Path, data: bytes | memoryview) -> None:
    """A small file that is there whole or not at all: written beside, synced, renamed, its directory synced."""
    beside = path.with_name(path.name + UNFINISHED_SUFFIX)
    if door.exists(beside):
        door.unlink(beside)
    try:
        handle = door.open_new(beside)
        try:
            door.pwrite(handle, data, 0)
            door.fdatasync(handle)
        finally:
            door.close(handle)
        door.rename(beside, path)
    except OSError:
        with suppress(OSError):  # a disk that is full gets its room back
            door.unlink(beside)
        raise
    door.fsync_directory(path.parent)


def make_directory(door: Door, path: Path) -> None:
    """Makes one directory under an existing one, durable before it is used."""
    if not door.exists(path):
        door.mkdir(path)
        door.fsync_directory(path.parent)
