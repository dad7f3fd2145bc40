"""What a channel needs of the connection below it; the transport brings both to life."""

from typing import Protocol

from protocol.errors import ConnectionLost
from protocol.http2 import Http2Connection


class Pulse(Protocol):
    def beat(self) -> None:
        """Wake everybody who waits."""

    async def wait(self, timeout_seconds: float) -> bool:
        """False when there was no beat in time."""


class Driver(Protocol):
    """The task that writes, and the end of the connection."""

    def wake(self) -> None:
        """There may be something to write."""

    def stop(self) -> None:
        """End the connection's tasks."""

    def new_pulse(self) -> Pulse: ...

    def now_seconds(self) -> float: ...


class Link(Protocol):
    http2: Http2Connection
    write_seconds: float  # without progress of a stream's output

    def now_seconds(self) -> float: ...

    def wake(self) -> None: ...

    def abort(self, error: ConnectionLost) -> None: ...

    def leave(self, stream_id: int) -> None: ...
