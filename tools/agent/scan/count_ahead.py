"""How much a run will take, counted beside it in a thread of its own, so that whoever watches, here or at
the vault, sees how long it lasts.

Only an estimate for people: nothing is decided by it, and what it cannot read the run itself will tell.
"""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tools.agent.scan.linked import CountedOnce
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.scan.walk import TreeWalk
from tools.client.failure import Failure
from tools.client.offload import aside

# A run that is over sooner needs no estimate, and no second walk.
COUNT_AFTER_SECONDS = 10.0


class CountAhead:
    def __init__(self, walk: TreeWalk, figures: ScanFigures, after_seconds: float = COUNT_AFTER_SECONDS) -> None:
        self._after_seconds = after_seconds
        self._walk = walk
        self._figures = figures
        self._is_stopped = False

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Counts while the block runs; the end of the block ends it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count_later)
            try:
                yield
            finally:
                self._is_stopped = True
                nursery.cancel_scope.cancel()

    async def _count_later(self) -> None:
        await trio.sleep(self._after_seconds)
        await aside(self.count)

    def count(self) -> None:
        """Sets `bytes_total` when everything was counted."""
        linked = CountedOnce()
        total_bytes = 0
        try:
            for found in self._walk:
                if self._is_stopped:
                    return
                status = found.status
                if stat.S_ISREG(status.st_mode) and (status.st_nlink == 1 or linked.is_first(status)):
                    total_bytes += status.st_size
        except (OSError, Failure):
            return
        self._figures.bytes_total = total_bytes
