"""One request on one HTTP/2 stream, either side: frames in, frames out, and credit for what was taken.

Runtime-free: waiting comes in as a Pulse. Invariants: received bytes are granted back only when somebody takes their
frame, and where the credit says so only when it is let go; so a stream holds at most its window. The window grows to
the size of a frame only while somebody waits for it.
"""

from collections.abc import Callable, Sequence

from protocol.credit import Credit
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from protocol.framing import BytesLike, Frame, FrameLimits, FrameReader
from protocol.http2 import CANCEL
from protocol.limits import FRAME_SECONDS
from protocol.link import Link, Pulse


class Channel:
    def __init__(self, link: Link, stream_id: int, pulse: Pulse, limits: FrameLimits, credit: Credit | None) -> None:
        """Without `credit` the stream keeps the window that it began with."""
        self.link = link
        self.stream_id = stream_id
        self.response: ResponseReceived | None = None
        self.waits_to_send = False
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self._pulse = pulse
        self._reader = FrameReader(limits)
        self._credit = credit
        self._untaken_bytes = 0
        self._held_bytes = 0  # taken and not let go
        self._wanted = False
        self._ended = False
        self._error: RemoteProtocolError | None = None

    # What the connection tells

    def on_event(self, event: DataReceived | StreamEnded | StreamReset | ResponseReceived) -> None:
        match event:
            case DataReceived():
                self.on_data(event.data)
            case StreamEnded():
                self.on_end()
            case ResponseReceived():
                self.on_response(event)
            case StreamReset():
                sentence = f"the other side reset the request (HTTP/2 error {event.error_code})"
                self.on_failure(ConnectionLost(sentence))

    def on_response(self, response: ResponseReceived) -> None:
        self.response = response
        self._pulse.beat()

    def on_data(self, data: BytesLike) -> None:
        self._untaken_bytes += len(data)
        if self._error is None:
            try:
                self._reader.feed(data)
            except RemoteProtocolError as error:
                self._error = error
        if self._error is not None:
            self._discard()
        elif self._wanted and not self._reader.may_have_frame:
            self.refill()
        if self._error is not None or self._reader.may_have_frame:
            self._pulse.beat()

    def on_end(self) -> None:
        self._ended = True
        self._pulse.beat()

    def on_failure(self, error: RemoteProtocolError) -> None:
        """The stream or the connection is gone; frames that came before are still handed out."""
        self.is_gone = True
        if not self._ended and self._error is None:
            self._error = error
        self._pulse.beat()
        if self.on_gone is not None:
            self.on_gone()

    def on_written(self) -> None:
        if self.waits_to_send:
            self._pulse.beat()

    # What its user does

    @property
    def is_sendable(self) -> bool:
        return self.link.http2.is_sendable(self.stream_id)

    @property
    def has_ended(self) -> bool:
        """Whether the peer said all that it will say."""
        return self._ended

    async def take_frame(self) -> Frame | None:
        """The next frame; None at the end. Whoever takes it owns its bytes, and where they are held lets them go."""
        while True:
            frame = self._next_frame()
            if frame is not None:
                self._take(frame)
                return frame
            if self._error is not None:
                raise self._error
            if self._ended:
                self._reader.end()
                return None
            await self._wait_for_more()

    def let_go(self, frame: Frame) -> None:
        """Nobody holds the bytes of this taken frame any more: the peer may send as many."""
        if self._credit is not None and self._credit.is_held:
            self._held_bytes -= frame.wire_bytes
            self._credit.let_go()
            self._grant(frame.wire_bytes)

    def refill(self) -> None:
        """Promise the peer what the stream may have now."""
        self._grant(0)

    def give_up_slow_frame(self) -> None:
        """End the request if it still waits for the frame that was admitted, not if somebody holds it."""
        if self._wanted and not self._held_bytes and self._error is None:
            self._error = RemoteProtocolError(
                ErrorCode.throttled,
                f"a frame took longer than {FRAME_SECONDS} seconds while others waited",
                "send smaller frames, or later",
            )
            self._pulse.beat()

    def take_what_came(self) -> Frame | None:
        """A frame that is here already, without waiting."""
        return self._reader.next_frame()

    async def send(self, pieces: Sequence[BytesLike]) -> None:
        """Waits until what was sent before is on its way, then queues `pieces` whole or not at all."""
        await self.drain()
        self.check_sendable()
        self.link.http2.send_data(self.stream_id, pieces)
        self.link.wake()

    def end(self) -> None:
        if not self.is_gone and self.is_sendable:
            self.link.http2.send_data(self.stream_id, end=True)
            self.link.wake()

    async def drain(self) -> None:
        """Until nothing of this stream is queued; the connection ends when this stream makes no progress at all,
        whatever else is written meanwhile.
        """
        http2, link = self.link.http2, self.link
        queued = http2.unsent(self.stream_id)
        deadline = link.now_seconds() + link.write_seconds
        self.waits_to_send = True
        try:
            while queued and not self.is_gone:
                await self._pulse.wait(max(0.0, deadline - link.now_seconds()))
                before, queued = queued, http2.unsent(self.stream_id)
                if queued != before:
                    deadline = link.now_seconds() + link.write_seconds
                elif link.now_seconds() >= deadline:
                    link.abort(ConnectionLost("the other side takes no more of an answer"))
        finally:
            self.waits_to_send = False

    def check_sendable(self) -> None:
        if self.is_gone or not self.is_sendable:
            raise self._error or ConnectionLost("the other side ended this request before its end")

    def close(self, error_code: int = CANCEL) -> None:
        """No more of this request, wherever it stands."""
        self.link.http2.reset(self.stream_id, error_code)
        self.link.http2.forget(self.stream_id)
        self.link.leave(self.stream_id)
        self.link.wake()

    # Private

    def _next_frame(self) -> Frame | None:
        try:
            return self._reader.next_frame()
        except RemoteProtocolError as error:
            self._error = error
            self._discard()
            return None

    def _discard(self) -> None:
        discarded_bytes, self._untaken_bytes = self._untaken_bytes, 0
        self._grant(discarded_bytes)

    def _take(self, frame: Frame) -> None:
        count = min(self._untaken_bytes, frame.wire_bytes)
        self._untaken_bytes -= count
        if self._credit is not None and self._credit.is_held:
            self._held_bytes += frame.wire_bytes
        else:
            self._grant(count)

    async def _wait_for_more(self) -> None:
        self._wanted = True
        try:
            self.refill()
            await self._pulse.wait(float("inf"))
        finally:
            self._wanted = False

    def _grant(self, count: int) -> None:
        """`count` received bytes are kept no more; the window is set to what it may be then."""
        if self.is_gone:
            return
        http2 = self.link.http2
        frame_bytes, missing_bytes = self._reader.awaited if self._wanted else (0, 0)
        if self._credit is not None:
            outstanding_bytes = http2.outstanding(self.stream_id) - count
            window_bytes = self._credit.window_bytes(outstanding_bytes, self._held_bytes, frame_bytes)
            http2.set_window(self.stream_id, window_bytes, missing_bytes)
        # What is missing must be told here too: else the peer waits for less than an eighth of its window for ever.
        http2.grant(self.stream_id, count, missing_bytes)
        self.link.wake()
