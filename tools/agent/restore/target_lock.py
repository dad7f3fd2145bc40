"""The lock of a directory that is restored into: one restore at a time, because the next one removes temporary names
and finishes directories as those of one that was killed.

It is on the directory itself, open for reading, so nothing is written for it; the kernel lets go when the process ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.client.failure import Failure


@contextmanager
def held_target(root: Path) -> Iterator[None]:
    """Directories above and below `root` have locks of their own."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, root)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "wait for its end, or name another --target; `lslocks` shows who holds the directory"
        raise Failure("conflict", f"another restore works in {root}", hint) from None
    except OSError:
        pass  # a file system without such locks, or one that wants more than to read: better without than not at all
