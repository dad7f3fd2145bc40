"""A token bucket with the time as an argument."""


class TokenBucket:
    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._at_seconds: float | None = None

    def take(self, count: float, now_seconds: float) -> bool:
        """Whether `count` tokens were there; they are gone then."""
        if self._at_seconds is not None:
            earned = max(0.0, now_seconds - self._at_seconds) * self._per_second
            self._tokens = min(self._burst, self._tokens + earned)
        self._at_seconds = now_seconds
        if count > self._tokens:
            return False
        self._tokens -= count
        return True
