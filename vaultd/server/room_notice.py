"""What the log says of requests that were refused for lack of room: at times, and not for each of them.
Event loop only.
"""

from vaultd.clock import Clock
from vaultd.logs import log

QUIET_SECONDS = 300.0


class RoomNotice:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet_until_seconds: float | None = None

    def tell(self, error: BaseException) -> None:
        """With the cause, for the operator only: what clients are told names no file."""
        now_seconds = self._clock.monotonic_seconds()
        if self._quiet_until_seconds is not None and now_seconds < self._quiet_until_seconds:
            return
        self._quiet_until_seconds = now_seconds + QUIET_SECONDS
        while error.__cause__ is not None:
            error = error.__cause__
        log.warning("no room", problem=str(error))
