"""A file or node that is being made and has no final name yet, and how it gets one.

Where the file system can, a file has no name at all before it is whole: whoever is killed leaves nothing. Else, and for
nodes, it has a temporary one in the same directory.
"""

import errno
import os
from contextlib import suppress

from tools.agent.restore.survey import Overwrite
from tools.agent.restore.target import status_of
from tools.agent.restore.temporary_name import temporary_name
from tools.agent.system.holes import find_layout

_NAMELESS = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
_NAMED = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# File systems without files that have no name; EISDIR: kernels that know nothing of them.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
# File systems without hard links, or without them for this kind of file.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def create(directory: int, mode: int) -> tuple[int, bytes | None]:
    """The descriptor of a new file, and its temporary name if it has one. `mode`: that of one without a name, which
    nobody else can open, as far as the umask allows; one with a name is closed to others.
    """
    try:
        return os.open(b".", _NAMELESS, mode, dir_fd=directory), None
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
    name = temporary_name()
    return os.open(name, _NAMED, 0o600, dir_fd=directory), name


def named_copy(descriptor: int, directory: int) -> tuple[int, bytes]:
    """Of a file that has no name and gets none: the file system makes such files and no links."""
    name = temporary_name()
    copy = os.open(name, _NAMED, 0o600, dir_fd=directory)
    try:
        size = os.fstat(descriptor).st_size
        os.ftruncate(copy, size)
        for offset, length in find_layout(descriptor, size).data:
            os.lseek(copy, offset, os.SEEK_SET)
            while length and (sent := os.sendfile(copy, descriptor, offset, length)):
                offset, length = offset + sent, length - sent
    except OSError:
        os.close(copy)
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
        raise
    return copy, name


def place_nameless(descriptor: int, name: bytes, directory: int, overwrite: Overwrite) -> None:
    """Also one more name for a file that has some. FileExistsError where nothing may be replaced and something got that
    name after the survey.
    """
    if overwrite is Overwrite.never:
        _name(descriptor, name, directory)
        return
    temporary = temporary_name()
    _name(descriptor, temporary, directory)
    try:
        place(temporary, name, directory, overwrite)
    finally:
        # It stays where the name is already one of the same file, and where it failed.
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)


def place(temporary: bytes, name: bytes, directory: int, overwrite: Overwrite) -> None:
    """The same for what has a temporary name."""
    if overwrite is not Overwrite.never:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        return
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    else:
        os.unlink(temporary, dir_fd=directory)
        return
    if status_of(name, directory) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def _name(descriptor: int, name: bytes, directory: int) -> None:
    os.link(b"/proc/self/fd/%d" % descriptor, name, dst_dir_fd=directory, follow_symlinks=True)
