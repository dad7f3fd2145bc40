"""Directories that a restore changes and has not finished yet: two bits of their mode tell the next restore, where this
one is killed, that they are its own.

Set-user-id and sticky together: nobody but a directory's owner can set them, no directory has both for a use, all file
systems with modes have them, and the last step of a restore, which sets the mode, takes them away. One that was just
made and is still empty is known by the mode that it was made with.

Only a help: where modes cannot be set, or somebody changes them meanwhile, there are no marks, and such directories are
told. A backup of a directory that a restore has not finished keeps the two bits as a part of its mode.
"""

import os
import stat
from contextlib import suppress

MODE_AS_MADE = 0o700 | stat.S_ISVTX  # `mkdir` itself sets no more: what has it and is empty was just made
_MARK = stat.S_ISUID | stat.S_ISVTX
_OWN = stat.S_IRWXU


def mark_unfinished(directory: int) -> None:
    """Before the first change. Who restores keeps the way into it, whatever its mode was."""
    with suppress(OSError):
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        os.fchmod(directory, mode | _MARK | _OWN)


def is_unfinished(directory: int, owner: int | None) -> bool:
    """Nobody may have marked it but this user, or `owner`, who will have it: with None whoever owns it now."""
    status = os.fstat(directory)
    if owner is not None and status.st_uid not in (os.geteuid(), owner):
        return False
    mode = stat.S_IMODE(status.st_mode) & ~stat.S_ISGID  # which it may have from the one above
    if mode & _MARK == _MARK:
        return True
    return mode == MODE_AS_MADE and status.st_uid == os.geteuid() and not os.listdir(directory)
