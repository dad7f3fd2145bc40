"""One connection of either side above its bytes: its channels, its patience, its end. Runtime-free."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from protocol import framing, limits
from protocol.byte_budget import ByteBudget
from protocol.call import Call
from protocol.channel import Channel
from protocol.credit import AskCredit, Credit, FixedCredit, SharedCredit
from protocol.errors import ConnectionClosed, ConnectionLost, LocalProtocolError
from protocol.events import ConnectionEnded, Event, RequestReceived, SettingsReceived
from protocol.exchange import CONTENT_TYPE, PATH_PREFIX, Exchange, PeerIdentity, method_of
from protocol.framing import BytesLike
from protocol.http2 import REFUSED_STREAM, Http2Connection
from protocol.link import Driver
from protocol.liveness import Liveness
from protocol.methods import METHODS, Direction, request_limits
from protocol.turns import Turns

T = TypeVar("T", bound=msgspec.Struct)


class Connection:
    write_seconds: float

    def __init__(self, driver: Driver, *, client: bool) -> None:
        self._driver = driver
        self.http2 = Http2Connection(client, driver.now_seconds)
        self.failure: ConnectionLost | None = None
        self._liveness = Liveness(driver.now_seconds(), server=not client)
        self._channels: dict[int, Channel] = {}

    def now_seconds(self) -> float:
        return self._driver.now_seconds()

    def wake(self) -> None:
        self._driver.wake()

    def abort(self, error: ConnectionLost) -> None:
        """End the connection; the first reason stays."""
        self.failure = self.failure or error
        for channel in list(self._channels.values()):
            channel.on_failure(self.failure)
        self._driver.stop()

    def enter(self, stream_id: int, frame_limits: framing.FrameLimits, credit: Credit | None) -> Channel:
        channel = Channel(self, stream_id, self._driver.new_pulse(), frame_limits, credit)
        self._channels[stream_id] = channel
        self._liveness.on_requests(len(self._channels), self._driver.now_seconds())
        return channel

    def leave(self, stream_id: int) -> None:
        self._channels.pop(stream_id, None)
        self._liveness.on_requests(len(self._channels), self._driver.now_seconds())

    def deadline(self) -> float:
        """When to call `on_silence`; a minute at most, what begins meanwhile has a deadline of its own."""
        return min(self._liveness.deadline(), self._driver.now_seconds() + limits.SILENCE_SECONDS)

    def on_silence(self) -> None:
        if self._liveness.on_silence(self._driver.now_seconds()):
            self.http2.ping()
            self.wake()

    def on_received(self) -> None:
        """Something came, whatever it was."""
        self._liveness.heard(self._driver.now_seconds())

    def receive(self, data: memoryview) -> None:
        """Plaintext of the connection; the buffer may be used again afterwards."""
        for event in self.http2.receive_data(data):
            self._on_event(event)

    def on_written(self) -> None:
        for channel in list(self._channels.values()):
            channel.on_written()

    def _on_event(self, event: Event) -> None:
        match event:
            case ConnectionEnded():
                raise ConnectionClosed("the other side closed the connection")
            case SettingsReceived():
                self._liveness.on_settings()
                self._on_settings()
            case RequestReceived():
                self._on_request(event)
            case _:
                channel = self._channels.get(event.stream_id)
                if channel is not None:
                    channel.on_event(event)

    def _on_settings(self) -> None: ...

    def _on_request(self, request: RequestReceived) -> None:
        raise ConnectionLost("the server sent a request")


class ServerConnection(Connection):
    """One accepted connection. `signed_in` opens the larger limits."""

    write_seconds = limits.WRITE_SECONDS

    def __init__(self, driver: Driver, budget: ByteBudget, start: Callable[[Exchange, Channel], None]) -> None:
        super().__init__(driver, client=False)
        self.peer = PeerIdentity(None, "")
        self._budget = budget
        self._start = start
        self._turns = Turns(driver.new_pulse)
        self._account: bytes | None = None

    def signed_in(self, account: bytes) -> None:
        """Requests from now on get large frames and windows; `account` shares the byte budget (b"" = the operator)."""
        if self._account is not None:
            raise LocalProtocolError("this connection is signed in already")
        self._account = account
        self._liveness.on_signed_in()
        self.http2.widen()
        self.wake()

    def on_silence(self) -> None:
        """Uploads that wait are silent, so this is when others are asked whether they keep them waiting."""
        self._budget.give_up_slow_frames(self._driver.now_seconds())
        super().on_silence()

    def leave(self, stream_id: int) -> None:
        super().leave(stream_id)
        self._budget.unregister((self, stream_id))

    def end_question(self, stream_id: int) -> None:
        """Its answer is there, and nobody holds the question any more."""
        self._budget.unregister((self, stream_id))

    def _on_request(self, request: RequestReceived) -> None:
        # Handlers of streams that were reset still hold what they took, though HTTP/2 counts those streams no more.
        if len(self._channels) >= 2 * (limits.STREAMS_OPEN if self._account is None else limits.STREAMS_SIGNED_IN):
            self.http2.reset(request.stream_id, REFUSED_STREAM)
            self.http2.forget(request.stream_id)
            return
        method = method_of(request)
        frame_limits = request_limits(method, signed_in=self._account is not None)
        credit = self._credit(request.stream_id, method, frame_limits)
        channel = self.enter(request.stream_id, frame_limits, credit)
        match credit:
            case SharedCredit():
                self._budget.register(credit.stream, self._account or b"", channel)
            case AskCredit():
                self._budget.register(credit.stream, self._account or b"", channel, least_bytes=0)
        self._start(Exchange(request, method, channel, self, self._turns.enter(method)), channel)

    def _credit(self, stream_id: int, method: str, frame_limits: framing.FrameLimits) -> Credit | None:
        if self._account is None:
            return None
        direction = METHODS[method].direction if method in METHODS else Direction.ask
        if direction is Direction.upload:
            return SharedCredit(self._budget, (self, stream_id))
        window_bytes = max(limits.H2_WINDOW_BYTES_OPEN, frame_limits.frame_bytes)
        if direction is Direction.ask and window_bytes > limits.H2_WINDOW_BYTES_OPEN:
            return AskCredit(self._budget, (self, stream_id))
        return FixedCredit(window_bytes)


class ClientConnection(Connection):
    # A client waits for a vault whose store stands still; only silence ends the connection.
    write_seconds = float("inf")

    def __init__(self, driver: Driver, authority: str) -> None:
        super().__init__(driver, client=True)
        self._authority = authority
        self._changed = driver.new_pulse()  # a request ended, the settings came, or the connection is gone
        self.http2.widen()

    def call(self, method: str) -> Call:
        return Call(method, self.open_channel)

    async def ask(
        self, method: str, message: msgspec.Struct, answer_type: type[T], raw: BytesLike | Iterable[BytesLike] = ()
    ) -> tuple[T, memoryview]:
        """One frame there, one back."""
        async with self.asking(method, message, raw) as call:
            return await call.answer(answer_type)

    @asynccontextmanager
    async def asking(
        self, method: str, message: msgspec.Struct, raw: BytesLike | Iterable[BytesLike] = ()
    ) -> AsyncIterator[Call]:
        """A question that was sent; others may be sent before its answer is waited for."""
        async with self.call(method) as call:
            await call.send(message, raw)
            await call.end()
            yield call

    def abort(self, error: ConnectionLost) -> None:
        super().abort(error)
        self._changed.beat()

    def leave(self, stream_id: int) -> None:
        super().leave(stream_id)
        self._changed.beat()

    def _on_settings(self) -> None:
        self._changed.beat()

    async def open_channel(self, method: str) -> Channel:
        while self.failure is None and not self.http2.can_open_stream():
            await self._changed.wait(float("inf"))
        if self.failure is not None:
            raise self.failure
        stream_id = self.http2.open_stream(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", self._authority),
                (":path", PATH_PREFIX + method),
                ("content-type", CONTENT_TYPE),
            ]
        )
        bulk = method in METHODS and METHODS[method].direction is Direction.download
        credit = FixedCredit(limits.BULK_WINDOW_BYTES_MAX if bulk else limits.STREAM_WINDOW_BYTES)
        return self.enter(stream_id, framing.ANSWER_LIMITS, credit)
