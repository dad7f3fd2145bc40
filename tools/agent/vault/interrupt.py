"""SIGINT and SIGTERM while the agent talks with its vault: the work is cancelled, the connection lasts a little longer.

So a backup can still tell the vault that its run is over, and a restore removes its half file. A second signal ends the
program at once. Python's own KeyboardInterrupt would strike in any task, that of the connection too.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Interrupt:
    """`whole` is everything with the connection; what is done inside `work` is cancelled before it."""

    def __init__(self, whole: trio.CancelScope) -> None:
        self.came = False
        self._whole = whole
        self._work = whole

    async def watch(self, task_status: trio.TaskStatus[None]) -> None:
        """Waits for the first signal; from then on the next one has its usual effect."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                self.came = True
                self._work.cancel()
                return

    @contextmanager
    def work(self) -> Iterator[None]:
        with trio.CancelScope() as self._work:
            yield
        self._work = self._whole
        if self.came:
            self._whole.cancel()
