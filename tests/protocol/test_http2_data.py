"""Our connection against h2 as it comes: DATA that goes around h2 here is counted right there.

Every test runs twice: with DATA around h2, and through it, as with an h2 whose inside is another one.
"""

import random

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived as PlainData
from h2.events import StreamEnded as PlainEnd
from h2.settings import SettingCodes
from h2.stream import H2Stream
from h2.windows import WindowManager

from protocol.errors import LocalProtocolError
from protocol.events import RequestReceived, ResponseReceived, StreamEnded
from protocol.h2_inside import H2Inside, is_as_expected
from protocol.http2 import Http2Connection
from protocol.send_queue import SendQueue
from tests.protocol.support.peers import REQUEST, RESPONSE, Clock, data_of, output, plain_client, plain_server

KIB = 1024


def after_sign_in() -> tuple[H2Connection, Http2Connection]:
    """With one request begun."""
    client, server = plain_client(), Http2Connection(client=False, clock=Clock())
    server.receive_data(client.data_to_send())
    server.widen()
    client.receive_data(output(server))
    client.send_headers(1, REQUEST)
    server.receive_data(client.data_to_send())
    return client, server


@pytest.fixture(autouse=True, params=[True, False], ids=["around", "through"])
def goes_around(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(H2Inside, "goes_around", request.param)
    return request.param


def test_the_inside_of_this_h2_is_known():
    assert is_as_expected()


@pytest.mark.parametrize(
    ("owner", "name"), [(H2Stream, "_inbound_window_manager"), (H2Connection, "_inbound_flow_control_window_manager")]
)
def test_another_inside_is_noticed(monkeypatch: pytest.MonkeyPatch, owner: type, name: str):
    """A window that is not where it was: what is written there moves nothing."""
    monkeypatch.setattr(owner, name, property(lambda _: WindowManager(65_535), lambda *_: None), raising=False)
    assert not is_as_expected()


def test_late_data_of_a_stream_that_was_reset_ends_nothing():
    client, server = plain_client(), Http2Connection(client=False, clock=Clock())
    server.receive_data(client.data_to_send())
    client.receive_data(output(server))
    client.send_headers(1, REQUEST)
    server.receive_data(client.data_to_send())
    server.reset(1)
    server.forget(1)
    for _ in range(3):
        client.send_data(1, bytes(10 * KIB))
    assert data_of(server.receive_data(client.data_to_send()), 1) == b""
    client.receive_data(output(server))
    client.send_headers(3, REQUEST)
    client.send_data(3, b"next", end_stream=True)
    events = server.receive_data(client.data_to_send())
    assert data_of(events, 3) == b"next"


def test_an_upload_from_a_plain_client_arrives_whole_and_windows_agree():
    client, server = after_sign_in()
    server.set_window(1, 300 * KIB)
    content = random.Random(1).randbytes(3_000_000)
    sent, received = 0, b""
    while sent < len(content):
        client.receive_data(output(server))
        length = min(client.local_flow_control_window(1), client.max_outbound_frame_size, 50_000, len(content) - sent)
        assert length > 0, "the client is stuck"
        client.send_data(1, content[sent : sent + length])
        sent += length
        part = data_of(server.receive_data(client.data_to_send()), 1)
        received += part
        server.grant(1, len(part))
    client.end_stream(1)
    assert server.receive_data(client.data_to_send()) == [StreamEnded(1)]
    assert received == content
    client.receive_data(output(server))
    assert client.outbound_flow_control_window == server._h2.connection_window


def test_a_window_is_filled_up_by_eighths():
    """Sooner costs frames; later leaves a long line empty."""
    client, server = after_sign_in()
    window_bytes, sent_bytes = 256 * KIB, 48 * KIB
    server.set_window(1, window_bytes)
    client.receive_data(output(server))
    for _ in range(sent_bytes // (16 * KIB)):
        client.send_data(1, bytes(16 * KIB))
    server.receive_data(client.data_to_send())
    server.grant(1, window_bytes // 8 - 1)
    client.receive_data(output(server))
    assert client.local_flow_control_window(1) == window_bytes - sent_bytes
    server.grant(1, 1)
    client.receive_data(output(server))
    assert client.local_flow_control_window(1) == window_bytes - sent_bytes + window_bytes // 8


def test_a_frame_of_which_a_part_is_here_counts_whole():
    """A peer may then send no more than its window, however often the window is filled meanwhile."""
    client, server = after_sign_in()
    window_bytes = 256 * KIB
    server.set_window(1, window_bytes)
    sent = 0
    while True:
        client.receive_data(output(server))
        length = min(client.local_flow_control_window(1), client.max_outbound_frame_size)
        if not length:
            break
        client.send_data(1, bytes(length))
        sent += length
        assert sent <= window_bytes
        frame = client.data_to_send()
        server.receive_data(frame[:20])
        server.set_window(1, window_bytes, window_bytes)
        server.receive_data(frame[20:])
    assert sent == window_bytes


def test_a_download_to_a_plain_client_keeps_within_its_windows():
    client = plain_client({SettingCodes.INITIAL_WINDOW_SIZE: 100 * KIB, SettingCodes.MAX_FRAME_SIZE: 20 * KIB})
    server = Http2Connection(client=False, clock=Clock())
    client.send_headers(1, REQUEST, end_stream=True)
    events = server.receive_data(client.data_to_send())
    assert RequestReceived(1, "POST", "/v1/hello", {}) in events
    content = random.Random(2).randbytes(1_000_000)
    server.send_headers(1, RESPONSE)
    server.send_data(1, [content[:1], memoryview(content)[1:500_000], bytearray(content[500_000:])], end=True)
    received, ended = b"", False
    for _ in range(200):
        for event in client.receive_data(output(server)):
            if isinstance(event, PlainData):
                received += event.data
                client.acknowledge_received_data(event.flow_controlled_length, 1)
            ended = ended or isinstance(event, PlainEnd)
        server.receive_data(client.data_to_send())
    assert received == content
    assert ended
    assert server.unsent(1) == 0


def test_our_client_talks_to_a_plain_server():
    client, server = Http2Connection(client=True, clock=Clock()), plain_server()
    client.widen()
    stream_id = client.open_stream(REQUEST)
    client.send_data(stream_id, [b"question"], end=True)
    events = server.receive_data(output(client))
    assert b"".join(event.data for event in events if isinstance(event, PlainData)) == b"question"
    assert isinstance(events[-1], PlainEnd)
    server.send_headers(stream_id, RESPONSE)
    server.send_data(stream_id, b"answer", end_stream=True)
    events = client.receive_data(server.data_to_send())
    assert ResponseReceived(stream_id, 200, {"content-type": "application/x-safeset"}) in events
    assert data_of(events, stream_id) == b"answer"
    assert events[-1] == StreamEnded(stream_id)


def test_streams_take_turns():
    client = Http2Connection(client=True, clock=Clock())
    server = plain_server({SettingCodes.INITIAL_WINDOW_SIZE: 10_000_000, SettingCodes.MAX_FRAME_SIZE: 16 * KIB})
    server.increment_flow_control_window(10_000_000)
    client.receive_data(server.data_to_send())
    streams = [client.open_stream(REQUEST) for _ in range(3)]
    for stream_id in streams:
        client.send_data(stream_id, [bytes(100 * KIB)])
    order = [event.stream_id for event in server.receive_data(output(client)) if isinstance(event, PlainData)]
    assert order[:6] == [1, 3, 5, 1, 3, 5]
    assert sorted(set(order)) == streams


def test_a_limit_on_output_is_kept_and_nothing_is_lost():
    client = Http2Connection(client=True, clock=Clock())
    server = plain_server({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    server.increment_flow_control_window(1_000_000)
    client.receive_data(server.data_to_send())
    stream_id = client.open_stream(REQUEST)
    content = random.Random(3).randbytes(500_000)
    client.send_data(stream_id, [content])
    received = b""
    while client.unsent(stream_id):
        pieces = client.data_to_send(64 * KIB)
        assert sum(len(piece) for piece in pieces) < 65 * KIB
        events = server.receive_data(b"".join(bytes(piece) for piece in pieces))
        received += b"".join(event.data for event in events if isinstance(event, PlainData))
    assert received == content


def test_a_closed_stream_takes_no_more():
    client = Http2Connection(client=True, clock=Clock())
    stream_id = client.open_stream(REQUEST)
    client.send_data(stream_id, end=True)
    output(client)
    with pytest.raises(LocalProtocolError, match="closed for sending"):
        client.send_data(stream_id, [b"late"])


def test_the_queue_hands_out_the_callers_own_bytes():
    queue = SendQueue()
    piece = bytearray(b"0123456789")
    queue.add(1, [piece])
    assert queue.unsent(1) == 10
    taken = queue.take(1, 4)
    assert bytes(taken[0]) == b"0123"
    assert taken[0].obj is piece
    assert queue.settle(1) is False
    queue.end(1)
    assert queue.unsent(1) == 7
    queue.take(1, 100)
    assert queue.settle(1) is True
    assert queue.unsent(1) == 0
