"""When one direction of a link carried nothing though it could have. Pure."""

from __future__ import annotations

# Shorter ones are those between pieces of one stream.
GAP_SECONDS_MIN = 0.001


class Gaps:
    """`found`: when each began, how long it was, and how many bytes had been carried until then."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float, int]] = []
        self.begun_at: float | None = None
        self.ended_at = 0.0
        self._carried_bytes = 0

    def carry(self, now_seconds: float, size_bytes: int, left_at_seconds: float) -> None:
        """Bytes came to the link now, and the last of them has left it at `left_at_seconds`."""
        if self.begun_at is None:
            self.begun_at = self.ended_at = now_seconds
        if now_seconds - self.ended_at >= GAP_SECONDS_MIN:
            self.found.append((self.ended_at, now_seconds - self.ended_at, self._carried_bytes))
        self.ended_at = left_at_seconds
        self._carried_bytes += size_bytes
