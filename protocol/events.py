"""What HTTP/2 reports: complete when made, never changed."""

import msgspec

Headers = dict[str, str]


class RequestReceived(msgspec.Struct, frozen=True):
    stream_id: int
    method: str
    path: str
    headers: Headers


class ResponseReceived(msgspec.Struct, frozen=True):
    stream_id: int
    status: int
    headers: Headers


class DataReceived(msgspec.Struct, frozen=True):
    """`data` is a view of the buffer given to `receive_data`: copy it before that buffer is used again."""

    stream_id: int
    data: bytes | memoryview


class StreamEnded(msgspec.Struct, frozen=True):
    """The peer sends no more on this stream."""

    stream_id: int


class StreamReset(msgspec.Struct, frozen=True):
    """The stream is gone, whoever reset it."""

    stream_id: int
    error_code: int


class SettingsReceived(msgspec.Struct, frozen=True):
    """The peer's settings are in force: more streams or larger windows may be allowed now."""


class ConnectionEnded(msgspec.Struct, frozen=True):
    """The peer said GOAWAY: nothing can be sent or received any more."""

    error_code: int


Event = (
    RequestReceived | ResponseReceived | DataReceived | StreamEnded | StreamReset | SettingsReceived | ConnectionEnded
)
