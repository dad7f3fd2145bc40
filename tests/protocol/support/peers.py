"""A server connection of ours, a clock to turn, and clients that are not ours: raw frames, or h2 as it comes."""

import h2.config
import h2.connection
import h2.settings
from hpack import Encoder
from hyperframe.frame import Frame, HeadersFrame, SettingsFrame

from protocol.events import DataReceived, Event
from protocol.http2 import Http2Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "vault"), (":path", "/v1/hello")]
RESPONSE = [(":status", "200"), ("content-type", "application/x-safeset")]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class RawClient:
    """Says what a test wants to a server of ours, however wrong."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = Http2Connection(client=False, clock=self.clock)
        self.encoder = Encoder()
        self.said = output(self.server)

    def begin(self) -> "RawClient":
        self.send(PREFACE + SettingsFrame(0).serialize() + SettingsFrame(0, flags=["ACK"]).serialize())
        return self

    def send(self, data: bytes) -> list[Event]:
        try:
            return self.server.receive_data(data)
        finally:
            self.said += output(self.server)

    def frame(self, *frames: Frame) -> list[Event]:
        return self.send(b"".join(frame.serialize() for frame in frames))

    def request(self, stream_id: int, *, end: bool = False) -> HeadersFrame:
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        return HeadersFrame(stream_id, self.encoder.encode(REQUEST), flags=flags)


def output(connection: Http2Connection) -> bytes:
    return b"".join(bytes(piece) for piece in connection.data_to_send(1 << 30))


def raw_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")


def frames_of(data: bytes) -> list[Frame]:
    """The frames in what a side said, parsed by hyperframe."""
    data = data.removeprefix(PREFACE)
    frames = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        frames.append(frame)
        data = data[9 + length :]
    return frames


def plain_client(settings: dict[h2.settings.SettingCodes, int] | None = None) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.local_settings = h2.settings.Settings(client=True, initial_values=settings or {})
    connection.max_inbound_frame_size = connection.local_settings.max_frame_size
    connection.initiate_connection()
    return connection


def plain_server(settings: dict[h2.settings.SettingCodes, int] | None = None) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.local_settings = h2.settings.Settings(client=False, initial_values=settings or {})
    connection.max_inbound_frame_size = connection.local_settings.max_frame_size
    connection.initiate_connection()
    return connection


def data_of(events: list[Event], stream_id: int) -> bytes:
    return b"".join(
        bytes(event.data) for event in events if isinstance(event, DataReceived) and event.stream_id == stream_id
    )
