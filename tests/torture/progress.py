"""How far a part of the torture is, how fast it goes and when it will end: a line on standard error now and then."""

from __future__ import annotations

import sys
import time

INTERVAL_SECONDS = 10.0


class Progress:
    """Of one part. A terminal shows each line over the one before; a file gets one in INTERVAL_SECONDS and the last."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._begin = self._told = time.monotonic()
        self._width = 0

    def begin(self, more: str) -> None:
        self._write(f"{self._what}: 0 of {self._total:,}; {more}", is_last=False)

    def tell(self, done: int, more: str) -> None:
        now = time.monotonic()
        is_last = done >= self._total
        if not (is_last or sys.stderr.isatty() or now - self._told >= INTERVAL_SECONDS):
            return
        self._told = now
        speed = done / max(now - self._begin, 0.001)
        left = "" if is_last or not done else f", {_span((self._total - done) / speed)} left"
        line = f"{self._what}: {done:,} of {self._total:,}, {speed * 60:,.0f} a minute{left}; {more}"
        self._write(line, is_last=is_last)

    def _write(self, line: str, *, is_last: bool) -> None:
        over = sys.stderr.isatty() and not is_last
        print(line.ljust(self._width), end="\r" if over else "\n", file=sys.stderr, flush=True)
        self._width = len(line) if over else 0


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
