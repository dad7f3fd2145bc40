"""The h2 library with our limits, and the few things we do to its inside: the only file that touches its private names.

DATA goes around h2 in both directions, because h2 copies every body about six times: the frame headers are read and
written here, the two windows are kept in h2's own window managers, everything else stays with h2.
tests/protocol/test_http2_data.py compares this with plain h2 peers and fails when the library changes.
"""

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamState
from hpack import Encoder

from protocol import frame_repr, limits

frame_repr.install()

_RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)
_SENDING = (StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE)


class H2Inside(H2Connection):
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
        return self._inbound_flow_control_window_manager.current_window_size

    def stream_window(self, stream_id: int) -> int | None:
        """What the peer may still send on the stream; None when it may not send at all."""
        stream = self._receiving(stream_id)
        return stream.inbound_flow_control_window if stream else None

    def may_bypass(self, stream_id: int) -> bool:
        """Whether DATA of this stream needs nothing from h2 but its windows."""
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
