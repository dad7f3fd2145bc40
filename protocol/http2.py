"""One HTTP/2 connection, sans-IO: bytes in, events out; intent in, bytes out.

Invariants: what the peer may make this side keep is bounded by its windows (`grant` gives them back, and only for bytes
that somebody took), by the frame size, and by the flood guard; a request that is reset in the batch that brought it is
never reported. After ConnectionLost only `data_to_send` may be called: it holds the GOAWAY.
"""

from collections.abc import Callable, Iterable

import msgspec
from h2 import events as h2_events
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes
from hyperframe.exceptions import HyperframeError

from protocol import limits
from protocol.errors import ConnectionLost, LocalProtocolError
from protocol.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    SettingsReceived,
    StreamEnded,
    StreamReset,
)
from protocol.flood_guard import DATA, END_STREAM, RST_STREAM, Flood, FloodGuard
from protocol.frame_scanner import FrameHeader, FrameScanner, frame_kinds
from protocol.framing import BytesLike
from protocol.h2_inside import H2Inside
from protocol.send_queue import SendQueue

NO_ERROR = int(ErrorCodes.NO_ERROR)
CANCEL = int(ErrorCodes.CANCEL)
REFUSED_STREAM = int(ErrorCodes.REFUSED_STREAM)
_PADDED = 0x08
_PREFACE_BYTES = 24
_SERVER_SETTINGS = {
    SettingCodes.HEADER_TABLE_SIZE: limits.HEADER_TABLE_BYTES_MAX,
    SettingCodes.MAX_CONCURRENT_STREAMS: limits.STREAMS_OPEN,
    SettingCodes.MAX_HEADER_LIST_SIZE: limits.HEADER_LIST_BYTES_MAX,
}
_CLIENT_SETTINGS = {
    SettingCodes.HEADER_TABLE_SIZE: limits.HEADER_TABLE_BYTES_MAX,
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: limits.STREAM_WINDOW_BYTES,
    SettingCodes.MAX_FRAME_SIZE: limits.H2_FRAME_BYTES_SIGNED_IN,
    SettingCodes.MAX_HEADER_LIST_SIZE: limits.HEADER_LIST_BYTES_MAX,
}


class _Inbound(msgspec.Struct):
    window_bytes: int  # what the peer may have in flight and untaken
    untaken_bytes: int = 0


class Http2Connection:
    def __init__(self, client: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._h2 = H2Inside(_CLIENT_SETTINGS if client else _SERVER_SETTINGS, client=client)
        self._guard = FloodGuard()
        self._lost_by_errors = _LostByErrors(self)
        self._queue = SendQueue()
        self._scanner = FrameScanner(self)
        self._client = client
        self._preface_missing = 0 if client else _PREFACE_BYTES
        self._control = bytearray()  # what h2 wants to send, before any more DATA
        self._events: list[Event] = []
        self._inbound: dict[int, _Inbound] = {}
        self._refused: dict[int, int] = {}  # streams that we reset: bytes that may still be on their way
        self._untaken_bytes = 0
        self._connection_window_bytes = limits.H2_WINDOW_BYTES_OPEN
        self._h2.initiate_connection()
        self._control += self._h2.data_to_send()

    # Receiving

    def receive_data(self, data: BytesLike) -> list[Event]:
        """Events hold views of `data`: use them before its buffer is used again."""
        with self._lost_by_errors:
            view = memoryview(data)
            if self._preface_missing:
                view = self._receive_preface(view)
            self._scanner.feed(view)
            self._collect_control()
            self._guard.waiting_output(len(self._control))
        events, self._events = self._events, []
        return self._without_stillborn(events)

    def grant(self, stream_id: int, count: int, needed_bytes: int = 0) -> None:
        """`count` received bytes were taken: the peer may send that many more, up to the stream's window. It hears of
        that by the eighth of a window, and at once where it may send less than `needed_bytes`."""
        inbound = self._inbound.get(stream_id)
        if inbound is None or self._h2.has_ended:
            return
        inbound.untaken_bytes -= count
        self._untaken_bytes -= count
        with self._lost_by_errors:
            self._fill_stream_window(stream_id, inbound, needed_bytes)
            self._fill_connection_window()

    def outstanding(self, stream_id: int) -> int:
        """What the peer may still send on a stream, and what it sent and nobody granted back."""
        inbound = self._inbound.get(stream_id)
        return (self._h2.stream_window(stream_id) or 0) + (inbound.untaken_bytes if inbound else 0)

    def set_window(self, stream_id: int, window_bytes: int, needed_bytes: int = 0) -> None:
        """Change a stream's window; a smaller one takes effect as the peer uses up what it was promised.

        The peer hears at once of what it needs to go on: where it may send less than `needed_bytes`.
        """
        inbound = self._inbound.get(stream_id)
        if inbound is not None and not self._h2.has_ended:
            inbound.window_bytes = window_bytes
            with self._lost_by_errors:
                self._fill_stream_window(stream_id, inbound, needed_bytes)

    def widen(self) -> None:
        """The peer signed in: larger frames, more streams, and a connection window that never decides."""
        self._connection_window_bytes = limits.CONNECTION_WINDOW_BYTES
        self._guard.widen()
        with self._lost_by_errors:
            if not self._client:
                self._h2.update_settings(
                    {
                        SettingCodes.MAX_CONCURRENT_STREAMS: limits.STREAMS_SIGNED_IN,
                        SettingCodes.MAX_FRAME_SIZE: limits.H2_FRAME_BYTES_SIGNED_IN,
                    }
                )
            self._fill_connection_window()

    # Sending

    def can_open_stream(self) -> bool:
        return self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams

    def open_stream(self, headers: Iterable[tuple[str, str]]) -> int:
        """A client's new request; returns its stream id."""
        with self._lost_by_errors:
            stream_id: int = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, list(headers))
        self._inbound[stream_id] = _Inbound(limits.STREAM_WINDOW_BYTES)
        return stream_id

    def send_headers(self, stream_id: int, headers: Iterable[tuple[str, str]]) -> None:
        self._check_sendable(stream_id)
        with self._lost_by_errors:
            self._h2.send_headers(stream_id, list(headers))

    def send_data(self, stream_id: int, pieces: Iterable[BytesLike] = (), *, end: bool = False) -> None:
        """Queue pieces, as they are, until the windows let them go; the caller leaves them alone from now on."""
        self._check_sendable(stream_id)
        self._queue.add(stream_id, pieces)
        if end:
            self._queue.end(stream_id)

    def unsent(self, stream_id: int) -> int:
        """Queued bytes, and one for an end that was not said yet."""
        return self._queue.unsent(stream_id)

    def is_sendable(self, stream_id: int) -> bool:
        return self._h2.sending_window(stream_id) is not None

    def data_to_send(self, limit_bytes: int) -> list[BytesLike]:
        """What goes to the peer now: control frames, then about `limit_bytes` of DATA, each stream in its turn."""
        with self._lost_by_errors:
            self._collect_control()
        pieces: list[BytesLike] = []
        progress = True
        while progress and limit_bytes > 0:
            progress = False
            for stream_id in self._queue.waiting():
                self._flush_control(pieces)
                length = self._send_frame(stream_id, limit_bytes, pieces)
                limit_bytes -= length
                progress = progress or length > 0
                if limit_bytes <= 0:
                    break
        self._flush_control(pieces)
        return pieces

    def reset(self, stream_id: int, error_code: int = CANCEL) -> None:
        """End a stream at once, in both directions; what the peer sent meanwhile is thrown away."""
        window = self._h2.stream_window(stream_id)
        self._queue.drop(stream_id)
        if self._h2.has_ended or (window is None and self._h2.sending_window(stream_id) is None):
            return
        with self._lost_by_errors:
            self._h2.reset_stream(stream_id, error_code)
        if window is not None:
            self._refused[stream_id] = window
            if len(self._refused) > limits.CLOSED_STREAMS_MAX:
                del self._refused[next(iter(self._refused))]

    def forget(self, stream_id: int) -> None:
        """Nobody takes or sends anything on this stream any more."""
        self._queue.drop(stream_id)
        inbound = self._inbound.pop(stream_id, None)
        if inbound is not None and not self._h2.has_ended:
            self._untaken_bytes -= inbound.untaken_bytes
            with self._lost_by_errors:
                self._fill_connection_window()

    def ping(self) -> None:
        with self._lost_by_errors:
            self._h2.ping(b"safeset?")

    def close(self) -> None:
        """Queue the GOAWAY; only `data_to_send` is useful after it."""
        self._h2.end_with(ErrorCodes.NO_ERROR)
        self._control += self._h2.data_to_send()

    # What the scanner found

    def on_header(self, header: FrameHeader) -> bool:
        if header.length > self._h2.max_inbound_frame_size:
            self._h2.end_with(ErrorCodes.FRAME_SIZE_ERROR)
            raise ConnectionLost(
                f"the peer announced an HTTP/2 frame of {header.length} bytes; "
                f"the limit is {self._h2.max_inbound_frame_size}"
            )
        self._guard.received(header.kind, header.flags, header.length, self._clock())
        if header.kind != DATA or not header.length or header.flags & _PADDED:
            return False
        if self._h2.goes_around and header.length <= self._refused.get(header.stream_id, 0):
            self._refused[header.stream_id] -= header.length
            self._h2.consume_connection(header.length)
            return True
        if self._h2.may_bypass(header.stream_id):
            self._h2.consume(header.stream_id, header.length)
            # The whole frame, as h2 counts it: a window that is filled in its middle must not promise the rest again.
            self._count(header.stream_id, header.length)
            return True
        return False

    def on_piece(self, header: FrameHeader, piece: memoryview, *, last: bool) -> None:
        stream_id = header.stream_id
        if stream_id in self._refused:
            self._fill_connection_window()
            return
        self._deliver(stream_id, piece)
        if last and header.flags & END_STREAM:
            self._to_h2(b"\0\0\0" + bytes((DATA, END_STREAM)) + stream_id.to_bytes(4, "big"))

    def on_frame(self, frame: bytes) -> None:
        self._to_h2(frame)
        self._collect_control()
        self._guard.waiting_output(len(self._control))

    # Private

    def _receive_preface(self, view: memoryview) -> memoryview:
        count = min(self._preface_missing, len(view))
        self._h2.receive_data(view[:count])
        self._preface_missing -= count
        return view[count:]

    def _to_h2(self, frame: bytes) -> None:
        for event in self._h2.receive_data(frame):
            self._translate(event)

    def _translate(self, event: h2_events.Event) -> None:
        match event:
            case h2_events.RequestReceived():
                pseudo, headers = _split(event.headers)
                self._inbound[event.stream_id] = _Inbound(limits.H2_WINDOW_BYTES_OPEN)
                request = RequestReceived(event.stream_id, pseudo[":method"], pseudo.get(":path", ""), headers)
                self._events.append(request)
            case h2_events.ResponseReceived():
                pseudo, headers = _split(event.headers)
                self._events.append(ResponseReceived(event.stream_id, int(pseudo[":status"]), headers))
            case h2_events.DataReceived():
                if event.data:
                    self._count(event.stream_id, len(event.data))
                    self._deliver(event.stream_id, event.data)
            case h2_events.StreamEnded():
                self._events.append(StreamEnded(event.stream_id))
            case h2_events.StreamReset():
                self._queue.drop(event.stream_id)
                self._events.append(StreamReset(event.stream_id, int(event.error_code or 0)))
            case h2_events.RemoteSettingsChanged():
                self._h2.cap_encoder()
                self._events.append(SettingsReceived())
            case h2_events.ConnectionTerminated():
                self._events.append(ConnectionEnded(int(event.error_code or 0)))

    def _count(self, stream_id: int, length: int) -> None:
        inbound = self._inbound.get(stream_id)
        if inbound is not None:
            inbound.untaken_bytes += length
            self._untaken_bytes += length

    def _deliver(self, stream_id: int, data: bytes | memoryview) -> None:
        if stream_id in self._inbound:
            self._events.append(DataReceived(stream_id, data))
        else:
            self._fill_connection_window()

    def _without_stillborn(self, events: list[Event]) -> list[Event]:
        reset = {event.stream_id for event in events if isinstance(event, StreamReset)}
        if not reset:
            return events
        reset &= {event.stream_id for event in events if isinstance(event, RequestReceived)}
        for stream_id in reset:
            self.forget(stream_id)
        return [event for event in events if getattr(event, "stream_id", 0) not in reset]

    def _fill_stream_window(self, stream_id: int, inbound: _Inbound, needed_bytes: int = 0) -> None:
        window = self._h2.stream_window(stream_id)
        if window is None:
            return
        credit = inbound.window_bytes - window - inbound.untaken_bytes
        if credit > 0 and (credit >= inbound.window_bytes // 8 or window < needed_bytes):
            self._h2.increment_flow_control_window(credit, stream_id)

    def _fill_connection_window(self) -> None:
        credit = self._connection_window_bytes - self._h2.connection_window - self._untaken_bytes
        if credit >= self._connection_window_bytes // 4:
            self._h2.increment_flow_control_window(credit)

    def _send_frame(self, stream_id: int, limit_bytes: int, pieces: list[BytesLike]) -> int:
        window = self._h2.sending_window(stream_id)
        if window is None:
            self._queue.drop(stream_id)
            return 0
        largest = min(self._h2.max_outbound_frame_size, limits.H2_FRAME_BYTES_SIGNED_IN)
        length = min(window, largest, limit_bytes, self._queue.size_bytes(stream_id))
        if length and self._h2.goes_around:
            pieces.append(length.to_bytes(3, "big") + bytes((DATA, 0)) + stream_id.to_bytes(4, "big"))
            pieces.extend(self._queue.take(stream_id, length))
            self._h2.sent(stream_id, length)
        elif length:
            self._h2.send_data(stream_id, b"".join(self._queue.take(stream_id, length)))
            self._collect_control()
        if self._queue.settle(stream_id):
            self._h2.end_stream(stream_id)
            self._collect_control()
        return length

    def _flush_control(self, pieces: list[BytesLike]) -> None:
        if self._control:
            pieces.append(self._control)
            self._control = bytearray()

    def _collect_control(self) -> None:
        """Take what h2 wants to say; every reset in it counts, whoever caused it."""
        output = self._h2.data_to_send()
        if not output:
            return
        self._control += output
        for kind in frame_kinds(output):
            if kind == RST_STREAM:
                self._guard.reset(self._clock())

    def _check_sendable(self, stream_id: int) -> None:
        if not self.is_sendable(stream_id):
            raise LocalProtocolError(f"the stream {stream_id} is closed for sending")

    def lost_by(self, error: Exception) -> ConnectionLost:
        """What `error` means for the connection; the GOAWAY is queued."""
        if isinstance(error, Flood):
            self._h2.end_with(ErrorCodes.ENHANCE_YOUR_CALM)
            message = str(error)
        elif isinstance(error, ConnectionLost):
            message = error.message
        else:
            message = f"the peer broke HTTP/2: {error or type(error).__name__}"
            if not self._h2.has_ended:
                self._h2.end_with(getattr(error, "error_code", ErrorCodes.PROTOCOL_ERROR))
        self._control += self._h2.data_to_send()
        return ConnectionLost(message)


class _LostByErrors:
    """`with` this, what h2 and the flood guard raise becomes ConnectionLost. A class, because it is on the hot path."""

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Flood | H2Error | HyperframeError | ConnectionLost):
            raise self._connection.lost_by(error) from error


def _split(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], dict[str, str]]:
    """Pseudo headers, and the others; a repeated one is joined as HTTP says."""
    pseudo: dict[str, str] = {}
    plain: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        where = pseudo if name.startswith(":") else plain
        where[name] = f"{where[name]}, {value}" if name in where else value
    return pseudo, plain
