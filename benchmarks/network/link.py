"""When bytes come out of one direction of a link: its rate, its delay and the queue in front of it. Pure."""

from __future__ import annotations

QUEUE_BYTES = 4 << 20
# What one connection may have under way where no rate says how much a link holds.
WINDOW_BYTES_WITHOUT_RATE = 64 << 20
PIECE_BYTES_MAX = 256 << 10
PIECE_BYTES_MIN = 1460
PIECE_SECONDS = 0.001


class Link:
    """Times are seconds of any clock that does not run backwards; those of one link never fall.

    Bytes leave one after another at the rate, and arrive `delay_seconds` after they left. What has not left yet
    waits in the queue; `room_at` says when a sender may put more there. `rate_bytes_per_second` None: they leave at
    once.
    """

    def __init__(
        self, *, rate_bytes_per_second: float | None, delay_seconds: float, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self.rate_bytes_per_second = rate_bytes_per_second
        self.delay_seconds = delay_seconds
        self.queue_bytes = queue_bytes
        self._free_at_seconds = 0.0

    def room_at(self, now_seconds: float) -> float:
        """The first time, from now on, when what waits in the queue is no more than the queue holds."""
        if self.rate_bytes_per_second is None:
            return now_seconds
        return max(now_seconds, self._free_at_seconds - self.queue_bytes / self.rate_bytes_per_second)

    def send(self, now_seconds: float, size_bytes: int) -> float:
        """The time when the last of these bytes arrives; they stand behind all that was sent before."""
        leaves_at = max(now_seconds, self._free_at_seconds)
        if self.rate_bytes_per_second is not None:
            leaves_at += size_bytes / self.rate_bytes_per_second
        self._free_at_seconds = leaves_at
        return leaves_at + self.delay_seconds

    def window_bytes(self) -> int:
        """What one connection may have under way: all that the link and its queue hold.

        A receiver that reads nothing so stops its own sender, and nobody else's.
        """
        if self.rate_bytes_per_second is None:
            return WINDOW_BYTES_WITHOUT_RATE
        return int(self.rate_bytes_per_second * self.delay_seconds) + self.queue_bytes + PIECE_BYTES_MAX

    def piece_bytes(self) -> int:
        """How much is taken from a connection at once: a millisecond of the link, so that many share it fairly."""
        if self.rate_bytes_per_second is None:
            return PIECE_BYTES_MAX
        return max(PIECE_BYTES_MIN, min(PIECE_BYTES_MAX, int(self.rate_bytes_per_second * PIECE_SECONDS)))
