"""The one way from the event loop to threads: five kinds of work, each with its own limit.

write = everything that changes disks or databases, with the checks of what is stored: one call at a time, in the order
of asking, so the store needs no locks. read = look-ups and reads. walk = what goes through a whole safeset, so that it
keeps no look-up waiting. compute = signatures. sign_in = who somebody is, so that slow fetches keep nobody out. One hop
per batch, never per record.

An account waits with one call of write and of walk and with PER_ACCOUNT of read and of compute, so that its many
requests do not stand before the one of another; what the daemon does for itself has no account.

Invariants: a call that began is never abandoned; a cancelled caller waits for its end, so that nothing is half known.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import trio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

READ_THREADS = 4
COMPUTE_THREADS = 2
WALK_THREADS = 2
SIGN_IN_THREADS = 1
PER_ACCOUNT = 2


class Limit:
    """How many calls may be in threads at once, for `trio.to_thread.run_sync`. Who asks first goes first.

    A call waits for its thread in any case: a checkpoint of its own before it, which trio.CapacityLimiter has, would be
    one turn of the event loop too many.
    """

    def __init__(self, threads: int) -> None:
        self._limit = trio.CapacityLimiter(threads)

    @property
    def threads_busy(self) -> int:
        return self._limit.borrowed_tokens

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        try:
            self._limit.acquire_on_behalf_of_nowait(borrower)
        except trio.WouldBlock:
            await self._limit.acquire_on_behalf_of(borrower)

    def release_on_behalf_of(self, borrower: object) -> None:
        self._limit.release_on_behalf_of(borrower)


_write_limit = Limit(1)
_read_limit = Limit(READ_THREADS)
_compute_limit = Limit(COMPUTE_THREADS)
_walk_limit = Limit(WALK_THREADS)
_sign_in_limit = Limit(SIGN_IN_THREADS)


class _Turns:
    """What one account may have at once."""

    def __init__(self) -> None:
        self.write = Limit(1)
        self.walk = Limit(1)
        self.read = Limit(PER_ACCOUNT)
        self.compute = Limit(PER_ACCOUNT)


class _InTurn:
    """A call that waits among those of its account first."""

    def __init__(self, of_account: Limit, of_all: Limit) -> None:
        self._of_account = of_account
        self._of_all = of_all

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self._of_account.acquire_on_behalf_of(borrower)
        try:
            await self._of_all.acquire_on_behalf_of(borrower)
        except BaseException:
            self._of_account.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: object) -> None:
        self._of_all.release_on_behalf_of(borrower)
        self._of_account.release_on_behalf_of(borrower)


_of_accounts: WeakValueDictionary[bytes, _Turns] = WeakValueDictionary()  # those with a request now
_mine: ContextVar[_Turns | None] = ContextVar("turns", default=None)


def work_for(account: bytes) -> None:
    """What this task and its children call from now on is for this account."""
    turns = _of_accounts.get(account) or _Turns()
    _of_accounts[account] = turns
    _mine.set(turns)


async def write(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    limit = _InTurn(turns.write, _write_limit) if turns else _write_limit
    return await _run(limit, function, *arguments)


async def read(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    limit = _InTurn(turns.read, _read_limit) if turns else _read_limit
    return await _run(limit, function, *arguments)


async def walk(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    limit = _InTurn(turns.walk, _walk_limit) if turns else _walk_limit
    return await _run(limit, function, *arguments)


async def compute(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    turns = _mine.get()
    limit = _InTurn(turns.compute, _compute_limit) if turns else _compute_limit
    return await _run(limit, function, *arguments)


async def sign_in(function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    return await _run(_sign_in_limit, function, *arguments)


async def _run(limit: Limit | _InTurn, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    limiter: Any = limit  # what its documentation asks of one, though its annotation says CapacityLimiter
    return await trio.to_thread.run_sync(function, *arguments, limiter=limiter)
