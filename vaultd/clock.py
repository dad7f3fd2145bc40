"""The vault's clock: the one source of time for everything that the daemon stores or decides.

The daemon runs on SystemClock; whoever must decide when time passes runs on FixedClock.
"""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since 1970, UTC; may jump when the host's clock is set."""
        ...

    def monotonic_seconds(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_seconds(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class FixedClock:
    """A clock that moves only when it is told to."""

    time_ns: int = 1_800_000_000_000_000_000
    seconds: float = 1000.0

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_seconds(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.time_ns += round(seconds * 1_000_000_000)
        self.seconds += seconds
