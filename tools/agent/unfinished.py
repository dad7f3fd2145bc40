"""Directories that a restore has made and not given their metadata yet: where it was cut off, a mark tells the next one
that they are its own.

Only a help: file systems without user attributes have no marks, and there such directories are told.
"""

import os
import stat
from contextlib import suppress

from tools.agent.attributes import UNFINISHED


def mark_unfinished(directory: int) -> None:
    with suppress(OSError):
        os.setxattr(directory, UNFINISHED, b"")


def is_unfinished(directory: int) -> bool:
    """Nobody but this user may have marked it: it is closed to others and belongs to whoever restores."""
    status = os.fstat(directory)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
        return False
    try:
        os.getxattr(directory, UNFINISHED)
    except OSError:
        return False
    return True


def mark_finished(directory: int) -> None:
    with suppress(OSError):
        os.removexattr(directory, UNFINISHED)
