"""Watches how late the event loop is: a long wait means that something computed where it should only delegate."""

from collections import deque

import trio

from vaultd import metrics
from vaultd.logs import log

TICK_SECONDS = 0.1
WINDOW_TICKS = 600
LOUD_LAG_SECONDS = 0.5


async def watch_loop_lag() -> None:
    """Keeps the longest lag of the last minute in the metric, and logs a very long one."""
    recent: deque[float] = deque(maxlen=WINDOW_TICKS)
    while True:
        before = trio.current_time()
        await trio.sleep(TICK_SECONDS)
        lag_seconds = trio.current_time() - before - TICK_SECONDS
        recent.append(lag_seconds)
        metrics.EVENT_LOOP_LAG_SECONDS_MAX.set(max(recent))
        if lag_seconds > LOUD_LAG_SECONDS:
            log.warning("event loop was late", lag_seconds=round(lag_seconds, 3))
