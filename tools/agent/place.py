"""Gives what was written under a temporary name its final name."""

import errno
import os

from tools.agent.survey import Overwrite
from tools.agent.target import status_of

# File systems without hard links, or without them for this kind of file.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def place(temporary: bytes, name: bytes, directory: int, overwrite: Overwrite) -> None:
    """FileExistsError where nothing may be replaced and something got that name after the survey."""
    if overwrite is not Overwrite.never:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        return
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(temporary, dir_fd=directory)
        return
    if status_of(name, directory) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
