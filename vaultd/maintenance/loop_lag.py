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
        self._began()
        self._wall_seconds = self._cpu_seconds = 0.0

    def after_io_wait(self, timeout: float) -> None:
        self._began()

    def before_io_wait(self, timeout: float) -> None:
        self._wall_seconds = max(self._wall_seconds, time.perf_counter() - self._wall_began)
        self._cpu_seconds = max(self._cpu_seconds, time.thread_time() - self._cpu_began)

    def take_longest(self) -> tuple[float, float]:
        """Seconds by the clock, and of processor time of the loop's thread, since the last time that this was asked."""
        longest = self._wall_seconds, self._cpu_seconds
        self._wall_seconds = self._cpu_seconds = 0.0
        return longest

    def _began(self) -> None:
        self._wall_began, self._cpu_began = time.perf_counter(), time.thread_time()


async def watch_loop_lag() -> None:
    """Keeps the longest lag of the last minute in the metrics, and logs a very long one.

    A lag far above the processor time is not the loop's own work: the machine had no processor for it, threads kept
    the interpreter, or it waited for a disk.
    """
    lags: deque[float] = deque(maxlen=WINDOW_TICKS)
    cpus: deque[float] = deque(maxlen=WINDOW_TICKS)
    stretch = BusyStretch()
    trio.lowlevel.add_instrument(stretch)
    try:
        while True:
            before = trio.current_time()
            await trio.sleep(TICK_SECONDS)
            wall_seconds, cpu_seconds = stretch.take_longest()
            lag_seconds = max(trio.current_time() - before - TICK_SECONDS, wall_seconds)
            lags.append(lag_seconds)
            cpus.append(cpu_seconds)
            metrics.EVENT_LOOP_LAG_SECONDS_MAX.set(max(lags))
            metrics.EVENT_LOOP_CPU_SECONDS_MAX.set(max(cpus))
            if lag_seconds > LOUD_LAG_SECONDS:
                log.warning("event loop was late", lag_seconds=round(lag_seconds, 3))
    finally:
        trio.lowlevel.remove_instrument(stretch)
