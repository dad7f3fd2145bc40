"""The one way from the event loop to threads: five kinds of work, each with its own limit.

write = everything that changes disks or databases: one call at a time, in the order of asking, so the store needs no
locks. read = look-ups and reads. walk = what goes through a whole safeset, so that it keeps no look-up waiting.
compute = hashing and signatures. sign_in = who somebody is, so that slow fetches keep nobody out. One hop per batch,
never per record.

An account waits with one call of write and of walk and with PER_ACCOUNT of read and of compute, so that its many
requests do not stand before the one of another; what the daemon does for itself has no account.

Invariants: a call that began is never abandoned; a cancelled caller waits for its end, so that nothing is half known.
"""

from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import trio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

READ_THREADS = 4
COMPUTE_THREADS = 2
WALK_THREADS = 2
SIGN_IN_THREADS = 1
PER_ACCOUNT = 2

_write_limit = trio.CapacityLimiter(1)
_read_limit = trio.CapacityLimiter(READ_THREADS)
_compute_limit = trio.CapacityLimiter(COMPUTE_THREADS)
_walk_limit = trio.CapacityLimiter(WALK_THREADS)
_sign_in_limit = trio.CapacityLimiter(SIGN_IN_THREADS)


class _Turns:
    """What one account may have at once."""

    def __init__(self) -> None:
        self.write = trio.CapacityLimiter(1)
        self.walk = trio.CapacityLimiter(1)
        self.read = trio.CapacityLimiter(PER_ACCOUNT)
        self.compute = trio.CapacityLimiter(PER_ACCOUNT)


_of_accounts: WeakValueDictionary[bytes, _Turns] = WeakValueDictionary()  # those with a request now
_mine: ContextVar[_Turns | None] = ContextVar("turns", default=None)


def work_for(account: bytes) -> None:
    """What this task and its children call from now on is for this account."""
    turns = _of_accounts.get(account) or _Turns()
    _of_accounts[account] = turns
    _mine.set(turns)


async def write(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    async with turns.write if turns else nullcontext():
        return await trio.to_thread.run_sync(function, *arguments, limiter=_write_limit)


async def read(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    async with turns.read if turns else nullcontext():
        return await trio.to_thread.run_sync(function, *arguments, limiter=_read_limit)


async def walk(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    async with turns.walk if turns else nullcontext():
        return await trio.to_thread.run_sync(function, *arguments, limiter=_walk_limit)


async def compute(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    async with turns.compute if turns else nullcontext():
        return await trio.to_thread.run_sync(function, *arguments, limiter=_compute_limit)


async def sign_in(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await trio.to_thread.run_sync(function, *arguments, limiter=_sign_in_limit)
