"""Counts what costs this side work and a peer nothing: resets, control frames, empty frames, unread answers.

Resets of both directions share one bucket: a peer that provokes resets from us is no better than one that sends them.
"""

from protocol import limits
from protocol.token_bucket import TokenBucket

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = 0x01

_COSTS = {PRIORITY: 1, WINDOW_UPDATE: 1, HEADERS: 0, RST_STREAM: 0}
_COST_OF_OTHERS = 10  # PING, SETTINGS, CONTINUATION, GOAWAY, PUSH_PROMISE and frames nobody knows


class Flood(Exception):
    """The sentence says which bucket is empty."""


class FloodGuard:
    def __init__(self) -> None:
        self._resets = TokenBucket(limits.RESETS_BURST, limits.RESETS_PER_SECOND)
        self._control = TokenBucket(limits.CONTROL_BURST_OPEN, limits.CONTROL_PER_SECOND)

    def widen(self) -> None:
        """The peer signed in."""
        self._control = TokenBucket(limits.CONTROL_BURST, limits.CONTROL_PER_SECOND)

    def received(self, kind: int, flags: int, length: int, now_seconds: float) -> None:
        if kind == RST_STREAM:
            self.reset(now_seconds)
        cost = _data_cost(flags, length) if kind == DATA else _COSTS.get(kind, _COST_OF_OTHERS + length // 1_024)
        if cost and not self._control.take(cost, now_seconds):
            raise Flood("the peer floods this side with control frames, empty frames or unknown ones")

    def reset(self, now_seconds: float) -> None:
        if not self._resets.take(1, now_seconds):
            raise Flood("too many streams of this connection were reset")

    def waiting_output(self, size_bytes: int) -> None:
        if size_bytes > limits.CONTROL_OUTPUT_BYTES_MAX:
            raise Flood("the peer does not read the answers to its control frames")


def _data_cost(flags: int, length: int) -> int:
    if flags & END_STREAM or length >= limits.TINY_DATA_BYTES:
        return 0
    return 1 if length else _COST_OF_OTHERS
