"""How far the hour is and when it ends: a line on standard error now and then."""

from __future__ import annotations

import sys
import time

INTERVAL_SECONDS = 10.0


class Progress:
    """A terminal shows each line over the one before; a file gets one in INTERVAL_SECONDS and the last of a part."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._part = ""
        self._begin = self._told
        self._width = 0

    def begin(self, more: str) -> None:
        self._write(f"hour: {more}", is_last=True)

    def tell(self, part: str, done: float, total: float, more: str) -> None:
        now = time.monotonic()
        if part != self._part:
            self._part, self._begin = part, now
        is_last = done >= total
        if not (is_last or sys.stderr.isatty() or now - self._told >= INTERVAL_SECONDS):
            return
        self._told = now
        left = f", {_span((now - self._begin) * (total - done) / done)} left" if done and not is_last else ""
        self._write(f"{part}: {done:,.0f} of {total:,.0f}{left}; {more}".rstrip("; "), is_last=is_last)

    def _write(self, line: str, *, is_last: bool) -> None:
        over = sys.stderr.isatty() and not is_last
        print(line.ljust(self._width), end="\r" if over else "\n", file=sys.stderr, flush=True)
        self._width = len(line) if over else 0


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
