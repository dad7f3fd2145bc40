"""How far a reading of all containers is: a line on a terminal, a JSON line about once a second for scripts."""

import json
import sys
import time
from collections import deque
from datetime import timedelta
from typing import Any

import click
import msgspec

from vaultd.store.index.reading_progress import Reading

LINE_EVERY_SECONDS = 0.2
JSON_EVERY_SECONDS = 1.0
# Speed is the mean of this long, so that one slow container does not make the estimate jump.
SPEED_OVER_SECONDS = 30.0
MEGABYTE = 1_000_000
_ERASE_LINE = "\r\x1b[K"


class ReadingScreen:
    """`phase` is what is being done, in words. With `as_json` there are lines on stdout, and none on the terminal."""

    def __init__(self, phase: str, *, as_json: bool = False) -> None:
        self._phase = phase
        self._as_json = as_json
        self._is_terminal = not as_json and sys.stderr.isatty()
        self._every_seconds = JSON_EVERY_SECONDS if as_json else LINE_EVERY_SECONDS
        self._due_seconds = 0.0
        self._is_shown = False
        self._points: deque[tuple[float, int]] = deque()

    def update(self, reading: Reading) -> None:
        now = time.monotonic()
        self._points.append((now, reading.bytes))
        while len(self._points) > 2 and self._points[0][0] < now - SPEED_OVER_SECONDS:
            self._points.popleft()
        if now < self._due_seconds or not (self._as_json or self._is_terminal):
            return
        self._due_seconds = now + self._every_seconds
        self._is_shown = True
        status = status_line(self._phase, reading, self._bytes_per_second())
        if self._as_json:
            click.echo(json.dumps(status))
        else:
            click.echo(_ERASE_LINE + status_text(status), err=True, nl=False)

    def clear(self) -> None:
        if self._is_terminal and self._is_shown:
            click.echo(_ERASE_LINE, err=True, nl=False)

    def _bytes_per_second(self) -> float | None:
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - start) if last > first and end > start else None


def status_line(phase: str, reading: Reading, bytes_per_second: float | None) -> dict[str, Any]:
    left = None if bytes_per_second is None else (reading.bytes_total - reading.bytes) / bytes_per_second
    speed = {
        "bytes_per_second": None if bytes_per_second is None else round(bytes_per_second),
        "remaining_seconds": None if left is None else round(left),
    }
    return {"type": "status", "phase": phase} | msgspec.to_builtins(reading) | speed


def status_text(status: dict[str, Any]) -> str:
    parts = [
        f"{status['phase']} {status['containers']:,} of {status['containers_total']:,}",
        f"{status['bytes'] / MEGABYTE:,.0f} of {status['bytes_total'] / MEGABYTE:,.0f} MB",
        f"{status['records']:,} records",
    ]
    if status["bytes_per_second"] is not None:
        left = timedelta(seconds=status["remaining_seconds"])
        parts += [f"{status['bytes_per_second'] / MEGABYTE:,.0f} MB/s", f"{left} left"]
    return "  ".join(parts)
