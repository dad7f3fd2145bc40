"""How long a connection may stay as it is: pure, with the time as an argument.

A server bounds the beginning and idleness by absolute times, so that a trickle of bytes extends nothing, and until
somebody signed in the whole connection. Either side asks a silent peer with one PING while a request is open, and gives
up when the peer stays silent.
"""

from protocol import limits
from protocol.errors import ConnectionClosed, ConnectionLost


class Liveness:
    def __init__(self, now_seconds: float, *, server: bool) -> None:
        self._server = server
        self._stranger_until = now_seconds + limits.STRANGER_SECONDS if server else float("inf")
        self._since_seconds = now_seconds  # of the phase: connected, or the last request ended
        self._heard_seconds = now_seconds
        self._pinged = False
        self._has_settings = False
        self._has_request = False
        self._busy = False

    def heard(self, now_seconds: float) -> None:
        self._heard_seconds = now_seconds
        self._pinged = False

    def on_settings(self) -> None:
        self._has_settings = True

    def on_signed_in(self) -> None:
        self._stranger_until = float("inf")

    def on_requests(self, count: int, now_seconds: float) -> None:
        """`count` requests are open now."""
        self._has_request = True
        if self._busy and not count:
            self._since_seconds = now_seconds
        if count and not self._busy:
            self.heard(now_seconds)
        self._busy = count > 0

    def deadline(self) -> float:
        """When to call `on_silence`, unless something happens before."""
        phase_end = self._heard_seconds + limits.SILENCE_SECONDS if self._busy else self._phase_end()
        return min(phase_end, self._stranger_until)

    def on_silence(self, now_seconds: float) -> bool:
        """The deadline passed: raises when the connection has to end; True when a PING is due."""
        if now_seconds < self.deadline():
            return False
        if now_seconds >= self._stranger_until:
            raise ConnectionLost(f"nobody signed in within {limits.STRANGER_SECONDS} seconds")
        if not self._busy:
            raise self._end_of_phase()
        if self._pinged:
            raise ConnectionLost(f"the other side was silent for {2 * limits.SILENCE_SECONDS} seconds")
        self._pinged = True
        self._heard_seconds = now_seconds
        return True

    def _phase_end(self) -> float:
        if not self._server:
            return float("inf")  # the vault ends what is idle
        if not self._has_settings:
            return self._since_seconds + limits.PREFACE_SECONDS
        if not self._has_request:
            return self._since_seconds + limits.FIRST_REQUEST_SECONDS
        return self._since_seconds + limits.IDLE_SECONDS

    def _end_of_phase(self) -> ConnectionLost:
        if not self._has_settings:
            return ConnectionLost(f"the peer did not begin HTTP/2 within {limits.PREFACE_SECONDS} seconds")
        if not self._has_request:
            return ConnectionLost(f"the peer sent no request within {limits.FIRST_REQUEST_SECONDS} seconds")
        return ConnectionClosed(f"the connection was idle for {limits.IDLE_SECONDS} seconds")
