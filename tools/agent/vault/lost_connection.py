"""Which errors say that the vault is out of reach, and how long to wait before the next try."""

import math
import random
from collections.abc import Sequence

from protocol.errors import ErrorCode, RemoteProtocolError
from tools.client.failure import UNREACHABLE, Failure, describe

# Together some five minutes, for as long as nothing more of the run arrives.
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0, 60.0, 60.0)
# Many agents lose one vault at the same time and must not all be back at the same time.
_JITTER = 0.25
# A connection that held this long is no part of one trouble with the one before.
_LASTING_SECONDS = 600.0


def is_lost(error: BaseException) -> bool:
    """Whether all that went wrong is that the vault does not answer, or says that it cannot just now."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_lost, error.exceptions))
    if isinstance(error, Failure):
        return error.code == UNREACHABLE
    return isinstance(error, RemoteProtocolError) and error.code == ErrorCode.unavailable


class Patience:
    """Of one run. It lasts as long as the run gets on."""

    def __init__(self, pauses_seconds: Sequence[float] = PAUSES_SECONDS) -> None:
        self.losses = 0
        self._pauses_seconds = pauses_seconds
        self._tries = 0
        self._durable = 0
        self._lost_at_seconds = math.inf

    def pause_seconds(self, error: BaseException, durable: int, now_seconds: float) -> float:
        """How long to wait before the next try; `durable` grows as the run gets on. Failure when it was the last."""
        self.losses += 1
        if durable > self._durable or now_seconds - self._lost_at_seconds >= _LASTING_SECONDS:
            self._tries = 0
        self._durable, self._lost_at_seconds = durable, now_seconds
        if self._tries == len(self._pauses_seconds):
            cause = describe(error)
            raise Failure(
                UNREACHABLE,
                f"the vault was lost in the middle of the run, and {self._tries} tries did not bring it back: "
                f"{cause.message}",
                "run the backup again when it is there: it goes on with what was acknowledged",
            ) from error
        pause_seconds = self._pauses_seconds[self._tries]
        self._tries += 1
        return pause_seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
