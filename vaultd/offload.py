"""The one way from the event loop to threads: four kinds of work, each with its own limit.

write = everything that changes disks or databases: one call at a time, in the order of asking, so the store needs no
locks. read = look-ups and reads. compute = hashing and signatures. sign_in =
who somebody is, so that slow fetches keep nobody out. One hop per batch, never per record.

Invariants: a call that began is never abandoned; a cancelled caller waits for its end, so that nothing is half known.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

READ_THREADS = 4
COMPUTE_THREADS = 2
SIGN_IN_THREADS = 1

_write_limit = trio.CapacityLimiter(1)
_read_limit = trio.CapacityLimiter(READ_THREADS)
_compute_limit = trio.CapacityLimiter(COMPUTE_THREADS)
_sign_in_limit = trio.CapacityLimiter(SIGN_IN_THREADS)


async def write(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_write_limit)


async def read(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_read_limit)


async def compute(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_compute_limit)


async def sign_in(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_sign_in_limit)
