"""What a hostile client may do to a connection: little. Its frames are raw bytes or hyperframe's."""

from collections.abc import Callable

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from protocol import limits
from protocol.errors import ConnectionLost
from protocol.events import ConnectionEnded, DataReceived, RequestReceived, StreamEnded, StreamReset
from tests.protocol.support.peers import PREFACE, RawClient, frames_of, raw_header

ENHANCE_YOUR_CALM = 11
FRAME_SIZE_ERROR = 6
FLOW_CONTROL_ERROR = 3


def ends(sentence: str, times: int, act: Callable[[int], object]) -> None:
    """`act` may be done some times, and `times` times is too often."""
    with pytest.raises(ConnectionLost, match=sentence):
        _repeat(times, act)


def _repeat(times: int, act: Callable[[int], object]) -> None:
    for number in range(times):
        act(number)


def goodbye(client: RawClient) -> int:
    """The error code of the GOAWAY that the server said."""
    codes = [frame.error_code for frame in frames_of(client.said) if isinstance(frame, GoAwayFrame)]
    assert codes, "the server said no GOAWAY"
    return codes[0]


def test_a_frame_that_is_too_long_is_refused_from_its_nine_bytes():
    client = RawClient().begin()
    with pytest.raises(ConnectionLost, match="16777215 bytes; the limit is 16384"):
        client.send(raw_header(2**24 - 1, 0x77, 0, 0))
    assert goodbye(client) == FRAME_SIZE_ERROR


@pytest.mark.parametrize("kind", range(12))
def test_every_kind_of_frame_has_that_limit(kind: int):
    client = RawClient().begin()
    with pytest.raises(ConnectionLost, match="16385 bytes"):
        client.send(raw_header(16_385, kind, 0, 1))


def test_something_else_than_http2_is_refused():
    with pytest.raises(ConnectionLost):
        RawClient().send(b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n")


@pytest.mark.parametrize("cut", range(1, len(PREFACE)))
def test_the_preface_may_come_in_pieces(cut: int):
    client = RawClient()
    data = PREFACE + SettingsFrame(0).serialize() + client.request(1).serialize()
    assert client.send(data[:cut]) == []
    assert [type(event) for event in client.send(data[cut:])][-1] is RequestReceived


def test_frames_may_be_split_at_every_byte():
    client = RawClient().begin()
    data = client.request(1).serialize() + DataFrame(1, b"abcdef", flags=["END_STREAM"]).serialize()
    events = [event for byte in data for event in client.send(bytes([byte]))]
    assert events[0] == RequestReceived(1, "POST", "/v1/hello", {})
    assert b"".join(bytes(event.data) for event in events if isinstance(event, DataReceived)) == b"abcdef"
    assert events[-1] == StreamEnded(1)


def test_a_request_that_is_reset_in_its_own_batch_is_never_reported():
    client = RawClient().begin()
    events = client.frame(client.request(1), DataFrame(1, b"x"), RstStreamFrame(1, 8), client.request(3))
    assert [event.stream_id for event in events] == [3]


def test_a_reset_in_a_later_batch_is_reported():
    client = RawClient().begin()
    client.frame(client.request(1))
    assert client.frame(RstStreamFrame(1, 8)) == [StreamReset(1, 8)]


def test_rapid_reset_ends_the_connection():
    client = RawClient().begin()

    def request_and_reset(number: int) -> None:
        assert client.frame(client.request(2 * number + 1), RstStreamFrame(2 * number + 1, 8)) == []

    ends("too many streams", limits.RESETS_BURST + 1, request_and_reset)
    assert goodbye(client) == ENHANCE_YOUR_CALM


def test_a_slow_trickle_of_resets_is_no_attack():
    client = RawClient().begin()
    for number in range(3 * limits.RESETS_BURST):
        client.clock.seconds += 1 / limits.RESETS_PER_SECOND
        stream_id = 2 * number + 1
        client.frame(client.request(stream_id), RstStreamFrame(stream_id, 8))


@pytest.mark.parametrize(
    "provocation",
    [
        lambda stream_id: DataFrame(stream_id, b"after the end"),
        lambda stream_id: HeadersFrame(stream_id, b"", flags=["END_HEADERS", "END_STREAM"]),
        lambda stream_id: WindowUpdateFrame(stream_id, 2**31 - 1),
    ],
)
def test_resets_that_the_client_provokes_from_us_count_the_same(provocation):
    client = RawClient().begin()

    def provoke(number: int) -> None:
        client.frame(client.request(2 * number + 1, end=True))
        client.frame(provocation(2 * number + 1))

    ends("too many streams", limits.RESETS_BURST + 1, provoke)
    assert goodbye(client) == ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: PingFrame(0, b"12345678"), limits.CONTROL_BURST // 10),
        (lambda: PingFrame(0, b"12345678", flags=["ACK"]), limits.CONTROL_BURST // 10),
        (lambda: SettingsFrame(0, {3: 100}), limits.CONTROL_BURST // 10),
        (lambda: WindowUpdateFrame(0, 1), limits.CONTROL_BURST),
        (lambda: WindowUpdateFrame(1, 1), limits.CONTROL_BURST),
        (lambda: PriorityFrame(1, 0), limits.CONTROL_BURST),
        (lambda: DataFrame(1, b""), limits.CONTROL_BURST // 10),
        (lambda: DataFrame(1, b"x"), limits.CONTROL_BURST),
    ],
    ids=["ping", "pong", "settings", "window", "stream-window", "priority", "empty-data", "tiny-data"],
)
def test_floods_of_control_frames_end_the_connection(make, most: int):
    client = RawClient().begin()
    client.frame(client.request(1))
    ends("floods this side", most + 1, lambda _: client.frame(make()))
    assert goodbye(client) == ENHANCE_YOUR_CALM


def test_a_flood_of_unknown_frames_ends_the_connection():
    client = RawClient().begin()
    unknown = raw_header(16_000, 0x42, 0, 0) + b"x" * 16_000
    ends("floods this side", limits.CONTROL_BURST // 25 + 2, lambda _: client.send(unknown))


def test_one_unknown_frame_is_ignored():
    client = RawClient().begin()
    assert client.send(raw_header(1, 0x42, 0xFF, 0) + b"x") == []


def test_answers_that_nobody_reads_are_bounded():
    """The clock runs here, so that the bucket never empties: what ends this is the pending output."""
    client = RawClient().begin()
    ping = PingFrame(0, b"12345678").serialize()
    most = limits.CONTROL_OUTPUT_BYTES_MAX // len(ping)

    def ping_without_reading(_: int) -> None:
        client.clock.seconds += 1
        client.server.receive_data(ping)

    ends("does not read", most + 2, ping_without_reading)


def test_header_lists_are_small():
    client = RawClient().begin()
    block = client.encoder.encode([(":method", "GET"), ("x-long", "v" * (limits.HEADER_LIST_BYTES_MAX + 1))])
    first = HeadersFrame(1, block[:16_000])
    with pytest.raises(ConnectionLost):
        client.frame(first, ContinuationFrame(1, block[16_000:], flags=["END_HEADERS"]))


def test_continuations_without_end_are_cut_off():
    client = RawClient().begin()
    client.frame(HeadersFrame(1, b""))
    ends("continuation", 100, lambda _: client.frame(ContinuationFrame(1, b"")))


def test_streams_are_few_before_sign_in():
    client = RawClient().begin()
    client.frame(*[client.request(2 * number + 1) for number in range(limits.STREAMS_OPEN)])
    with pytest.raises(ConnectionLost, match="Max inbound streams"):
        client.frame(client.request(2 * limits.STREAMS_OPEN + 1))


def test_streams_are_more_after_sign_in_once_the_client_knows():
    client = RawClient().begin()
    client.server.widen()
    client.frame(SettingsFrame(0, flags=["ACK"]))
    client.frame(*[client.request(2 * number + 1) for number in range(limits.STREAMS_SIGNED_IN)])
    with pytest.raises(ConnectionLost, match="Max inbound streams"):
        client.frame(client.request(2 * limits.STREAMS_SIGNED_IN + 1))


def test_larger_frames_are_taken_after_sign_in():
    client = RawClient().begin()
    client.server.widen()
    client.frame(SettingsFrame(0, flags=["ACK"]), client.request(1))
    client.server.set_window(1, 1024 * 1024)
    events = client.frame(DataFrame(1, b"x" * limits.H2_FRAME_BYTES_SIGNED_IN))
    assert sum(len(event.data) for event in events) == limits.H2_FRAME_BYTES_SIGNED_IN
    with pytest.raises(ConnectionLost, match="262145 bytes"):
        client.send(raw_header(limits.H2_FRAME_BYTES_SIGNED_IN + 1, 0, 0, 1))


def test_more_than_the_window_is_a_flow_control_error():
    client = RawClient().begin()
    client.frame(client.request(1))
    ends("window", 5, lambda _: client.frame(DataFrame(1, b"x" * 16_384)))
    assert goodbye(client) == FLOW_CONTROL_ERROR


def test_what_nobody_takes_is_never_granted_again():
    client = RawClient().begin()
    client.frame(client.request(1))
    client.frame(*[DataFrame(1, b"x" * 16_000)] * 4)
    assert not [frame for frame in frames_of(client.said) if isinstance(frame, WindowUpdateFrame)]
    client.server.grant(1, 64_000)
    client.send(b"")
    updates = {frame.stream_id: frame.window_increment for frame in frames_of(client.said) if frame.type == 8}
    assert updates == {0: 64_000, 1: 64_000}


def test_bytes_of_a_request_that_was_refused_are_thrown_away_and_the_connection_lives():
    """One reset from us; 60 DATA frames that were on their way must not count as 60 more."""
    client = RawClient().begin()
    client.server.widen()
    client.frame(SettingsFrame(0, flags=["ACK"]), client.request(1))
    client.server.set_window(1, 16 * 1024 * 1024)
    client.server.reset(1, 0)
    client.server.forget(1)
    for _ in range(limits.RESETS_BURST + 100):
        assert client.frame(DataFrame(1, b"x" * 16_000)) == []
    resets = [frame for frame in frames_of(client.said) if isinstance(frame, RstStreamFrame)]
    assert len(resets) == 1
    assert [type(event) for event in client.frame(client.request(3))] == [RequestReceived]


def test_a_refused_request_cannot_send_more_than_it_was_promised():
    client = RawClient().begin()
    client.frame(client.request(1))
    client.server.reset(1, 0)
    client.server.forget(1)
    ends("too many streams", limits.RESETS_BURST + 10, lambda _: client.frame(DataFrame(1, b"x" * 16_000)))


def test_the_encoder_table_follows_no_wish_above_the_cap():
    client = RawClient()
    client.send(PREFACE + SettingsFrame(0, {1: 2**32 - 1}).serialize())
    assert client.server._h2.encoder.header_table_size == 4_096


def test_closed_streams_are_remembered_in_bounds():
    client = RawClient().begin()
    for number in range(1_500):
        client.clock.seconds += 1
        client.frame(client.request(2 * number + 1), RstStreamFrame(2 * number + 1, 8))
    assert len(client.server._h2._closed_streams) <= 1_024
    assert len(client.server._h2.streams) < 10
    assert not client.server._inbound


@pytest.mark.parametrize(
    "frame",
    [
        raw_header(4, 8, 0, 0) + bytes(4),  # WINDOW_UPDATE of zero
        raw_header(5, 2, 0, 1) + (1).to_bytes(4, "big") + b"\0",  # a stream that depends on itself
        raw_header(1, 0, 0, 0) + b"x",  # DATA on no stream
        raw_header(1, 0, 0, 99) + b"x",  # DATA on a stream nobody opened
        raw_header(3, 6, 0, 0) + b"abc",  # a PING of three bytes
        raw_header(2, 0, 8, 1) + b"\xffx",  # padding longer than the frame
        raw_header(4, 9, 4, 1) + b"abcd",  # CONTINUATION of nothing
    ],
)
def test_broken_frames_end_the_connection(frame: bytes):
    client = RawClient().begin()
    client.frame(client.request(1))
    with pytest.raises(ConnectionLost):
        client.send(frame)
    goodbye(client)


def test_padded_data_is_data_and_its_padding_is_granted_back():
    client = RawClient().begin()
    client.frame(client.request(1))
    frame = DataFrame(1, b"abc", pad_length=200, flags=["PADDED"])
    events = client.frame(*[frame] * 10)
    assert b"".join(event.data for event in events) == b"abc" * 10


def test_a_length_that_was_declared_is_checked():
    client = RawClient().begin()
    headers = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "v"), ("content-length", "2")]
    client.frame(HeadersFrame(1, client.encoder.encode(headers), flags=["END_HEADERS"]))
    with pytest.raises(ConnectionLost):
        client.frame(DataFrame(1, b"abc", flags=["END_STREAM"]))


def test_goodbye_is_reported():
    client = RawClient().begin()
    assert client.frame(GoAwayFrame(0, 0, 2)) == [ConnectionEnded(2)]


def test_the_first_settings_say_the_small_limits():
    settings = frames_of(RawClient().said)[0].settings
    assert settings[3] == limits.STREAMS_OPEN
    assert settings[6] == limits.HEADER_LIST_BYTES_MAX
    assert settings[5] == 16_384
    assert settings[4] == limits.H2_WINDOW_BYTES_OPEN
