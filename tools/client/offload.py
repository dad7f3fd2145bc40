"""Where client programs hop from the event loop to worker threads: work that computes for longer than a moment.

A hop is one batch, never one item. The threads are few, so that a backup leaves the computer usable; a cancelled caller
waits for its thread, which may hold a file or a key.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

COMPUTE_THREADS = 2
# What mostly waits for the disk has a thread of its own: it must not keep a processor idle while it waits.
READ_THREADS = 1
# What nobody waits for must not take the place of what somebody does.
ASIDE_THREADS = 1

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_compute = trio.CapacityLimiter(COMPUTE_THREADS)
_read = trio.CapacityLimiter(READ_THREADS)
_aside = trio.CapacityLimiter(ASIDE_THREADS)


async def compute(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Runs it in one of the threads for ciphers, hashes and password stretching; waits while all are busy."""
    return await trio.to_thread.run_sync(function, *arguments, limiter=_compute)


async def read(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Runs it in the thread for files that are read."""
    return await trio.to_thread.run_sync(function, *arguments, limiter=_read)


async def aside(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Runs it in the thread for what is only nice to know."""
    return await trio.to_thread.run_sync(function, *arguments, limiter=_aside)
