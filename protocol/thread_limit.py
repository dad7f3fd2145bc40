"""How many calls may be in threads at once, without a turn of the event loop where there is room."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, TypeVarTuple

import trio

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Limit(Protocol):
    """What `trio.to_thread.run_sync` documents that it asks of a limiter."""

    async def acquire_on_behalf_of(self, borrower: object) -> None: ...

    def release_on_behalf_of(self, borrower: object) -> None: ...


class ThreadLimit:
    """Who asks first goes first. The call waits for its thread in any case: a checkpoint of its own before it, which
    trio.CapacityLimiter has, would be one too many. Event loop's thread only.
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


async def run_in_thread(limit: Limit, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """A cancelled caller waits for the end of the call."""
    limiter: Any = limit
    return await trio.to_thread.run_sync(function, *arguments, limiter=limiter)
