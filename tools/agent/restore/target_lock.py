"""The lock of a directory that is restored into: one restore at a time, because the next one removes temporary names
and finishes directories as those of one that was killed.

It is a byte of a file in the agent's state, so nobody else on the computer can hold it, and nothing is left behind of
targets that were used once; the kernel lets go when the process ends. Restores with another state do not see it.
"""

import fcntl
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from blake3 import blake3

from tools.client.failure import Failure

_OFFSET_BITS = 62  # those of a file are 63
_LOOK_SECONDS = 1.0


@asynccontextmanager
async def held_target(state: Path, root: Path, waiting: Callable[[str], None] | None = None) -> AsyncGenerator[None]:
    """`waiting` is told once that another restore works there, whose end is then waited for; without, it is a Failure.
    Directories above and below `root` have locks of their own. One lock of a process, held once at a time.
    """
    descriptor = _opened(state)
    if descriptor is None:
        yield
        return
    try:
        is_told = False
        while not _lock(descriptor, root):
            busy = f"another restore works in {root}"
            if waiting is None:
                raise Failure("conflict", busy, "wait for its end, or name another --target")
            if not is_told:
                waiting(f"{busy}: its end is waited for")
            is_told = True
            await trio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _opened(state: Path) -> int | None:
    """None for a state that nothing can be made in: better without than not at all."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(state / "restores.lock", flags, 0o600)
    except OSError:
        return None


def _lock(descriptor: int, root: Path) -> bool:
    """False where another process has it."""
    status = root.stat()
    name = blake3(b"%d %d" % (status.st_dev, status.st_ino)).digest(length=8)
    offset = int.from_bytes(name, "big") >> (64 - _OFFSET_BITS)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as systems like
        return False
    except OSError:
        pass  # a file system without locks
    return True
