"""The h2 library with our limits, and the few things we do to its inside: the only file that touches its private names.

DATA goes around h2 in both directions, because h2 copies every body about six times: the frame headers are read and
written here, the two windows are kept in h2's own window managers, everything else stays with h2. Where this h2 keeps
its windows elsewhere, `goes_around` is False and DATA goes through h2 as it comes: slower, and nothing else.
tests/protocol/test_http2_data.py compares both with plain h2 peers.
"""

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamState
from hpack import Encoder

from protocol import frame_repr, limits

frame_repr.install()

_RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)
_SENDING = (StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE)


def is_as_expected() -> bool:
    """Whether this h2 keeps its windows where the code below looks for them, tried on a connection to nobody."""
    probe = H2Connection(H2Configuration(client_side=True))
    probe.initiate_connection()
    probe.send_headers(1, [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")])
    try:
        stream = probe.streams[1]
        before = _windows(probe)
        probe.outbound_flow_control_window -= 3
        stream.outbound_flow_control_window -= 5
        probe._inbound_flow_control_window_manager.window_consumed(7)
        stream._inbound_window_manager.window_consumed(9)
        moved = [old - new for old, new in zip(before, _windows(probe), strict=True)]
        is_open = stream._expected_content_length is None and not probe.incoming_buffer._headers_buffer
        return is_open and moved == [5, 7, 9] and stream.state_machine.state in _RECEIVING
    except (AttributeError, TypeError, H2Error):
        return False


def _windows(connection: H2Connection) -> tuple[int, int, int]:
    """As h2 says them itself: to send on stream 1, to receive on the connection and on stream 1."""
    return (
        connection.local_flow_control_window(1),
        connection.inbound_flow_control_window,
        connection.remote_flow_control_window(1),
    )


class H2Inside(H2Connection):
    goes_around = is_as_expected()
    DEFAULT_MAX_HEADER_LIST_SIZE = limits.HEADER_LIST_BYTES_MAX
    MAX_CLOSED_STREAMS = limits.CLOSED_STREAMS_MAX

    def __init__(self, settings: dict[SettingCodes, int], *, client: bool) -> None:
        super().__init__(H2Configuration(client_side=client, header_encoding=None))
        self.local_settings = Settings(client=client, initial_values=settings)
        self.max_inbound_frame_size = self.local_settings.max_frame_size

    def cap_encoder(self) -> None:
        """After the peer's SETTINGS: it may ask for any table size, and our memory would follow."""
        encoder: Encoder = self.encoder
        encoder.header_table_size = min(encoder.header_table_size, limits.HEADER_TABLE_BYTES_MAX)

    @property
    def has_ended(self) -> bool:
        return self.state_machine.state is ConnectionState.CLOSED

    def end_with(self, error_code: ErrorCodes) -> None:
        """Queue a GOAWAY, whatever state the connection is in."""
        self._terminate_connection(error_code)

    # Receiving

    @property
    def connection_window(self) -> int:
        return self.inbound_flow_control_window

    def stream_window(self, stream_id: int) -> int | None:
        """What the peer may still send on the stream; None when it may not send at all."""
        stream = self._receiving(stream_id)
        return stream.inbound_flow_control_window if stream else None

    def may_bypass(self, stream_id: int) -> bool:
        """Whether DATA of this stream needs nothing from h2 but its windows."""
        if not self.goes_around:
            return False
        stream = self._receiving(stream_id)
        in_header_block = bool(self.incoming_buffer._headers_buffer)
        return stream is not None and stream._expected_content_length is None and not in_header_block

    def consume(self, stream_id: int, length: int) -> None:
        """A DATA frame of `length` goes around h2. Raises FlowControlError as h2 would."""
        self.consume_connection(length)
        self.streams[stream_id]._inbound_window_manager.window_consumed(length)

    def consume_connection(self, length: int) -> None:
        self._inbound_flow_control_window_manager.window_consumed(length)

    def _receiving(self, stream_id: int) -> H2Stream | None:
        stream = self.streams.get(stream_id)
        return stream if stream is not None and stream.state_machine.state in _RECEIVING else None

    # Sending

    def sending_window(self, stream_id: int) -> int | None:
        """How many bytes of DATA may go now; None when the stream is closed for sending."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.state_machine.state not in _SENDING:
            return None
        return max(0, min(self.outbound_flow_control_window, stream.outbound_flow_control_window))

    def sent(self, stream_id: int, length: int) -> None:
        """A DATA frame of `length` was written around h2; both windows allowed it."""
        self.outbound_flow_control_window -= length
        self.streams[stream_id].outbound_flow_control_window -= length
