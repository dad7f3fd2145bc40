"""What HTTP/2 reports: complete when made, never changed."""

from dataclasses import dataclass

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class RequestReceived:
    stream_id: int
    method: str
    path: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    stream_id: int
    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class DataReceived:
    """`data` is a view of the buffer given to `receive_data`: copy it before that buffer is used again."""

    stream_id: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer sends no more on this stream."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is gone, whoever reset it."""

    stream_id: int
    error_code: int


@dataclass(frozen=True, slots=True)
class SettingsReceived:
    """The peer's settings are in force: more streams or larger windows may be allowed now."""


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The peer said GOAWAY: nothing can be sent or received any more."""

    error_code: int


Event = (
    RequestReceived | ResponseReceived | DataReceived | StreamEnded | StreamReset | SettingsReceived | ConnectionEnded
)
