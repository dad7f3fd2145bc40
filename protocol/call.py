"""The client's side of one request."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from protocol.channel import Channel
from protocol.codec import decode, encode
from protocol.errors import ConnectionLost, ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.exchange import CONTENT_TYPE
from protocol.framing import ERROR, MESSAGE, BytesLike, Frame, encode_frame
from protocol.messages import ErrorMessage
from protocol.methods import request_limits

T = TypeVar("T", bound=msgspec.Struct)


class Call:
    """Opened by its first `send`; `async with` closes it. A cancelled `send` has queued all of its frame or nothing."""

    def __init__(self, method: str, open_channel: Callable[[str], Awaitable[Channel]]) -> None:
        self.method = method
        self._open_channel = open_channel
        self._channel: Channel | None = None
        self._refused: Frame | None = None  # the error frame: one task sends and another receives, and both are told
        self._ended = False
        self._closed = False

    async def __aenter__(self) -> "Call":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def send(self, message: msgspec.Struct, raw: BytesLike | Iterable[BytesLike] = ()) -> None:
        """Queues the whole frame; it waits for the frame before. `raw` must not be changed afterwards.

        Raises the vault's error when it has ended the request early.
        """
        if self._closed:
            raise LocalProtocolError(f"the call {self.method} is closed")
        header = encode(message)
        pieces = encode_frame(MESSAGE, header, raw)
        self._check_lengths(len(header), sum(memoryview(piece).nbytes for piece in pieces[1:]))
        if self._channel is None:
            self._channel = await self._open_channel(self.method)
        try:
            await self._channel.send(pieces)
        except RemoteProtocolError as error:
            raise self._refusal(self._channel) or error from None

    async def end(self) -> None:
        """This side sends no more."""
        self._opened().end()
        self._ended = True

    async def receive(self, type: type[T]) -> tuple[T, memoryview] | None:
        """The next answer and its raw bytes, None at the end; raises RemoteProtocolError from an error frame."""
        channel = self._opened()
        frame = await channel.take_frame()
        self._check_response(channel)
        if frame is not None and frame.kind == ERROR:
            self._refused = frame
        if self._refused is not None:
            raise _error_of(self._refused)
        if frame is None:
            return None
        return decode(frame.header, type), memoryview(frame.raw)

    async def answer(self, type: type[T]) -> tuple[T, memoryview]:
        """Of a question that was sent whole."""
        answer = await self.receive(type)
        if answer is None:
            raise ConnectionLost(f"the vault ended {self.method} without an answer")
        return answer

    async def aclose(self) -> None:
        """Frees the stream; resets it where the request or the answer is not whole."""
        if self._channel is not None and not self._closed:
            self._channel.close()
        self._closed = True

    def _check_lengths(self, header_bytes: int, raw_bytes: int) -> None:
        """What the vault would refuse is not sent."""
        try:
            request_limits(self.method, signed_in=True).check(header_bytes, raw_bytes)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.message) from None

    def _opened(self) -> Channel:
        if self._channel is None or self._closed:
            raise LocalProtocolError(f"the call {self.method} is not open")
        return self._channel

    def _check_response(self, channel: Channel) -> None:
        response = channel.response
        if response is not None and response.headers.get("content-type") != CONTENT_TYPE:
            raise ConnectionLost(f"the server answered {self.method} with HTTP status {response.status}: no vault?")

    def _refusal(self, channel: Channel) -> RemoteProtocolError | None:
        """The error that came before the stream was closed, if there is one."""
        while self._refused is None and (frame := channel.take_what_came()) is not None:
            if frame.kind == ERROR:
                self._refused = frame
        return _error_of(self._refused) if self._refused else None


def _error_of(frame: Frame) -> RemoteProtocolError:
    error = decode(frame.header, ErrorMessage)
    known = error.code in ErrorCode.__members__
    return RemoteProtocolError(ErrorCode(error.code) if known else ErrorCode.internal, error.message, error.hint)
