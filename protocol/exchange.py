"""The server's side of one request."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from protocol import limits
from protocol.channel import Channel
from protocol.codec import encode
from protocol.errors import HTTP_STATUS, ConnectionLost, ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.events import RequestReceived
from protocol.framing import ERROR, MESSAGE, BytesLike, Frame, encode_frame
from protocol.http2 import NO_ERROR
from protocol.messages import ErrorMessage
from protocol.turns import Place

PATH_PREFIX = "/v1/"
CONTENT_TYPE = "application/x-safeset"


class PeerIdentity(msgspec.Struct, frozen=True):
    """Who is at the other end: the certificate proves a key, whoever it belongs to; None when there was none."""

    certificate: bytes | None  # DER
    address: str


def method_of(request: RequestReceived) -> str:
    """The path after /v1/ of a POST, else empty."""
    is_call = request.method == "POST" and request.path.startswith(PATH_PREFIX)
    return request.path.removeprefix(PATH_PREFIX) if is_call else ""


class Exchange:
    """`connection` is the ServerConnection; `method` is what `method_of` says; `place` is among its requests."""

    def __init__(
        self, request: RequestReceived, method: str, channel: Channel, connection: Any, place: Place
    ) -> None:
        self.http_method = request.method
        self.path = request.path
        self.headers = request.headers
        self.method = method
        self.connection = connection
        self.stream_id = channel.stream_id
        self._channel = channel
        self._place = place
        self._answered = False
        self._finished = False

    @property
    def peer(self) -> PeerIdentity:
        peer: PeerIdentity = self.connection.peer
        return peer

    async def wait_for_hello(self) -> None:
        """Until a `hello` that the client sent before it is over."""
        await self._place.wait_for_hello()

    async def wait_for_turn(self) -> None:
        """Until what the client sent before it, and it follows, is over; raises what that one was refused with."""
        await self._place.wait()

    async def receive_frame(self) -> Frame | None:
        """The next frame of the request, None at its end. One of an upload counts until it was given to `let_go`."""
        frame = await self._channel.take_frame()
        if frame is not None and frame.kind != MESSAGE:
            raise RemoteProtocolError(ErrorCode.bad_request, "a request holds a frame of kind 2 (error)")
        return frame

    def let_go(self, frame: Frame) -> None:
        """Nobody holds this frame of an upload any more, nor a view of it: the peer may send as much."""
        self._channel.let_go(frame)

    def end_turn(self) -> None:
        """It is over, however it ended: what follows it may begin."""
        self._place.own.end()

    def end_question(self) -> None:
        """The answer is there, and the frame of the question is held by nobody: it counts no more, however slowly the
        answer is taken."""
        self.connection.end_question(self.stream_id)

    def abort(self) -> None:
        """Resets the stream, with what is queued of the answer: nothing of it is held any more."""
        self._answered = self._finished = True
        self._channel.close()

    async def send_message(self, message: msgspec.Struct, raw: BytesLike | Iterable[BytesLike] = ()) -> int:
        """Queues the whole frame and returns its size in bytes; it waits for the frame before. `raw` must not be
        changed afterwards.
        """
        header = encode(message)
        if len(header) > limits.ANSWER_HEADER_BYTES_MAX:
            raise RemoteProtocolError(
                ErrorCode.too_large,
                f"the answer has {len(header)} bytes; the limit is {limits.ANSWER_HEADER_BYTES_MAX}",
            )
        pieces = encode_frame(MESSAGE, header, raw)
        await self._send(200, pieces)
        return sum(map(len, pieces))

    async def wait_sent(self) -> None:
        """Until what was sent is on its way: nothing here holds it any more. Raises when the peer is gone."""
        await self._channel.drain()
        self._channel.check_sendable()

    async def send_error(self, code: ErrorCode | str, message: str, hint: str = "") -> None:
        """The last frame of an answer."""
        code = ErrorCode(code)
        self._place.own.error = RemoteProtocolError(code, message, hint)
        text = ErrorMessage(code.value, message[: limits.TEXT_CHARACTERS_MAX], hint[: limits.TEXT_CHARACTERS_MAX])
        await self._send(HTTP_STATUS[code], encode_frame(ERROR, encode(text)))
        self._channel.end()
        self._finished = True
        self.end_turn()  # before the client can know it: what it asks then does not follow this any more

    async def send_plain(self, status: int, content_type: str, body: bytes) -> None:
        """A whole answer for people and programs that do not speak the protocol (GET)."""
        self._respond(status, content_type)
        await self._channel.send([] if self.http_method == "HEAD" else [body])
        self._channel.end()
        self._finished = True

    async def finish(self) -> None:
        """Ends the answer and waits until it is on its way; what the peer still sends is thrown away."""
        if not self._answered:
            await self.send_error(ErrorCode.internal, "the vault gave no answer")
        if not self._finished:
            self._channel.end()
            self._finished = True
        await self._channel.drain()
        if not self._channel.has_ended:
            self._channel.close(NO_ERROR)

    async def run(self, handler: "Handler") -> None:
        """Calls `handler` and brings the answer to its end; raises only what is no error of a peer."""
        try:
            await handler(self)
            await self.finish()
        except ConnectionLost:
            return
        except RemoteProtocolError as error:
            await self._end_with(error)
        except Exception:
            await self._end_with(RemoteProtocolError(ErrorCode.internal, "the vault failed"))
            raise

    async def _end_with(self, error: RemoteProtocolError) -> None:
        with suppress(ConnectionLost):
            if not self._finished:
                await self.send_error(error.code, error.message, error.hint)
            await self.finish()

    async def _send(self, status: int, pieces: list[BytesLike]) -> None:
        if self._finished:
            raise LocalProtocolError(f"the answer to {self.path} is finished already")
        self._respond(status, CONTENT_TYPE)
        await self._channel.send(pieces)

    def _respond(self, status: int, content_type: str) -> None:
        if self._answered:
            return
        self._channel.check_sendable()
        headers = [(":status", str(status)), ("content-type", content_type), ("cache-control", "no-store")]
        self._channel.link.http2.send_headers(self._channel.stream_id, headers)
        self._answered = True


Handler = Callable[[Exchange], Awaitable[None]]
