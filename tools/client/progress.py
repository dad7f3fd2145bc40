"""How far long work is: a line on a terminal, a JSON line about once a second for scripts, else nothing.

`update` may be called for every file: between two showings it only remembers the figures.
"""

import importlib
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from tools.client.output import Output
from tools.client.units import counted_text, duration_text, size_text

LINE_EVERY_SECONDS = 0.2
JSON_EVERY_SECONDS = 1.0
# Speed is the mean of this long, so that one big file or one pause does not make the estimate jump.
SPEED_OVER_SECONDS = 10.0

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """`bytes` counts towards `bytes_total`, which is None as long as nobody knows it; `counted` says of what `files`
    are.
    """

    phase: str
    files: int = 0
    bytes: int = 0
    bytes_total: int | None = None
    counted: str = "file"


class Speedometer:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now_seconds: float, count_bytes: int) -> None:
        if self._points and now_seconds < self._points[-1][0]:
            self._points.clear()  # a clock that was set back
        self._points.append((now_seconds, count_bytes))
        while len(self._points) > 2 and self._points[0][0] < now_seconds - SPEED_OVER_SECONDS:
            self._points.popleft()

    def bytes_per_second(self) -> float | None:
        if len(self._points) < 2:
            return None
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - start) if end > start else None


class Progress:
    """A context manager around long work; the end clears the line."""

    def __init__(self, output: Output, monotonic: Monotonic = time.monotonic) -> None:
        self._output = output
        self._monotonic = monotonic
        self._line = _terminal_line() if not output.json and sys.stderr.isatty() else None
        self._every_seconds = JSON_EVERY_SECONDS if output.json else LINE_EVERY_SECONDS
        self._shown_seconds: float | None = None
        self._speed = Speedometer()

    @property
    def is_shown(self) -> bool:
        return self._line is not None or self._output.json

    def __enter__(self) -> Self:
        if self._line is not None:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.stop()

    def began(self, at_seconds: float) -> None:
        """When nothing was done yet, on the clock of `update`: so that its first figures have a speed already."""
        self._speed.add(at_seconds, 0)

    def update(self, figures: Figures, at_seconds: float | None = None) -> None:
        """`at_seconds`: when it stood so, by the clock of whoever told it; else it stands so now."""
        if not self.is_shown:
            return
        now = self._monotonic()
        if self._shown_seconds is not None and now - self._shown_seconds < self._every_seconds:
            return
        self._shown_seconds = now
        self._speed.add(now if at_seconds is None else at_seconds, figures.bytes)
        speed = self._speed.bytes_per_second()
        if self._line is not None:
            self._line.show(line_text(figures, speed))
        else:
            self._output.line(status_line(figures, speed))

    def tell(self, text: str, document: dict[str, object]) -> None:
        """Of work that is not counted in files and bytes: a line for people, a status line for scripts."""
        now = self._monotonic()
        if not self.is_shown or (
            self._shown_seconds is not None and now - self._shown_seconds < self._every_seconds
        ):
            return
        self._shown_seconds = now
        if self._line is not None:
            self._line.show(text)
        else:
            self._output.line({"type": "status", **document})

    def clear(self) -> None:
        """For people: what was shown does not hold any more."""
        if self._line is not None:
            self._line.show("")


def remaining_seconds(figures: Figures, bytes_per_second: float | None) -> float | None:
    if figures.bytes_total is None or not bytes_per_second or bytes_per_second <= 0:
        return None
    return max(0, figures.bytes_total - figures.bytes) / bytes_per_second


def line_text(figures: Figures, bytes_per_second: float | None) -> str:
    size = size_text(figures.bytes)
    if figures.bytes_total is not None:
        size = f"{size} of {size_text(figures.bytes_total)}"
    parts = [figures.phase, counted_text(figures.files, figures.counted), size]
    if bytes_per_second is not None:
        parts.append(f"{size_text(round(bytes_per_second))}/s")
    left = remaining_seconds(figures, bytes_per_second)
    if left is not None:
        parts.append(f"{duration_text(left)} left")
    return "  ".join(parts)


def status_line(figures: Figures, bytes_per_second: float | None) -> dict[str, object]:
    left = remaining_seconds(figures, bytes_per_second)
    return {
        "type": "status",
        "phase": figures.phase,
        f"{figures.counted}s": figures.files,
        "bytes": figures.bytes,
        "bytes_total": figures.bytes_total,
        "bytes_per_second": None if bytes_per_second is None else round(bytes_per_second),
        "remaining_seconds": None if left is None else round(left),
    }


class _Line(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...

    def show(self, text: str) -> None: ...


def _terminal_line() -> _Line:
    line: _Line = importlib.import_module("tools.client.terminal_line").TerminalLine()
    return line
