"""Watches how late the event loop is: a long wait means that something computed where it should only delegate."""

import time
from collections import deque

import trio

from vaultd import metrics
from vaultd.logs import log

TICK_SECONDS = 0.1
WINDOW_TICKS = 600
LOUD_LAG_SECONDS = 0.5


class BusyStretch(trio.abc.Instrument):
    """The longest time between two waits of the loop: how long what came meanwhile was kept waiting, to the full.

    A timer alone sees only what is left of a stretch after its own time has come.
    """

    def __init__(self) -> None:
        self._awake_since = time.perf_counter()
        self._longest_seconds = 0.0

    def after_io_wait(self, timeout: float) -> None:
        self._awake_since = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        self._longest_seconds = max(self._longest_seconds, time.perf_counter() - self._awake_since)

    def take_longest_seconds(self) -> float:
        """Since the last time that this was asked."""
        longest_seconds, self._longest_seconds = self._longest_seconds, 0.0
        return longest_seconds


async def watch_loop_lag() -> None:
    """Keeps the longest lag of the last minute in the metric, and logs a very long one.

    A timer is late also where the loop itself was not run: by threads that kept the interpreter, or a busy machine.
    """
    recent: deque[float] = deque(maxlen=WINDOW_TICKS)
    stretch = BusyStretch()
    trio.lowlevel.add_instrument(stretch)
    try:
        while True:
            before = trio.current_time()
            await trio.sleep(TICK_SECONDS)
            lag_seconds = max(trio.current_time() - before - TICK_SECONDS, stretch.take_longest_seconds())
            recent.append(lag_seconds)
            metrics.EVENT_LOOP_LAG_SECONDS_MAX.set(max(recent))
            if lag_seconds > LOUD_LAG_SECONDS:
                log.warning("event loop was late", lag_seconds=round(lag_seconds, 3))
    finally:
        trio.lowlevel.remove_instrument(stretch)
