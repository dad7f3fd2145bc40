"""Work in small pieces that leaves the rest of its time to others."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar, TypeVarTuple

import trio

from vaultd import offload

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Pace:
    def __init__(self, percent: int) -> None:
        """Of one thread's time."""
        self._pause_share = (100 - percent) / percent

    async def write(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        begin = time.monotonic()
        result = await offload.write(function, *arguments)
        await self._pause(begin)
        return result

    async def walk(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        begin = time.monotonic()
        result = await offload.walk(function, *arguments)
        await self._pause(begin)
        return result

    async def walk_all(self, pieces: Iterator[None]) -> None:
        """All of them, each in a turn of its own."""
        while await self.walk(_is_another, pieces):
            pass

    async def _pause(self, begin_seconds: float) -> None:
        """The longer work and its waiting took, the longer."""
        await trio.sleep((time.monotonic() - begin_seconds) * self._pause_share)


def _is_another(pieces: Iterator[None]) -> bool:
    for _ in pieces:
        return True
    return False
