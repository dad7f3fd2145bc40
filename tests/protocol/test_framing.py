"""Frames in any pieces; lengths are believed as little as possible. The bytes here are written by hand."""

import struct
import tracemalloc

import pytest

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.framing import ERROR, MESSAGE, REFUSED_LIMITS, Frame, FrameLimits, FrameReader, encode_frame

LIMITS = FrameLimits(header_bytes=100, raw_bytes=1000, of="some.method")


def wire(kind: int, header: bytes, raw: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + struct.pack("<II", len(header), len(raw)) + header + raw


def drain(reader: FrameReader) -> list[tuple[int, bytes, bytes]]:
    frames = []
    while (frame := reader.next_frame()) is not None:
        frames.append((frame.kind, frame.header, bytes(frame.raw)))
    return frames


THREE = [(MESSAGE, b"header", b"raw bytes"), (ERROR, b"e", b""), (MESSAGE, b"h", b"")]
THREE_ON_THE_WIRE = b"".join(wire(*frame) for frame in THREE)


def test_encoding_joins_nothing_but_prefix_and_header():
    piece = bytearray(b"one")
    pieces = encode_frame(MESSAGE, b"header", [piece, b"", memoryview(b"two")])
    assert b"".join(pieces) == wire(MESSAGE, b"header", b"onetwo")
    assert pieces[1] is piece
    assert b"".join(encode_frame(MESSAGE, b"h", b"raw")) == wire(MESSAGE, b"h", b"raw")


@pytest.mark.parametrize("cut", range(len(THREE_ON_THE_WIRE) + 1))
def test_frames_may_be_split_anywhere(cut: int):
    reader = FrameReader(LIMITS)
    reader.feed(THREE_ON_THE_WIRE[:cut])
    reader.feed(THREE_ON_THE_WIRE[cut:])
    assert drain(reader) == THREE
    reader.end()


def test_frames_may_come_byte_by_byte_and_each_is_out_with_its_last_byte():
    reader = FrameReader(LIMITS)
    frames = []
    for byte in THREE_ON_THE_WIRE:
        reader.feed(bytes([byte]))
        frames += drain(reader)
    assert frames == THREE


@pytest.mark.parametrize("length", range(1, len(wire(*THREE[0]))))
def test_an_end_inside_a_frame_is_an_error(length: int):
    reader = FrameReader(LIMITS)
    reader.feed(wire(*THREE[0])[:length])
    with pytest.raises(RemoteProtocolError, match="inside a frame"):
        reader.end()


@pytest.mark.parametrize(
    ("prefix", "code", "words"),
    [
        (
            b"\1\0\0\0" + struct.pack("<II", 101, 0),
            ErrorCode.too_large,
            "header_length 101; the limit of some.method is 100 bytes",
        ),
        (
            b"\1\0\0\0" + struct.pack("<II", 0, 1001),
            ErrorCode.too_large,
            "raw_length 1001; the limit of some.method is 1000 bytes",
        ),
        (b"\1\0\0\0" + struct.pack("<II", 2**31, 2**31), ErrorCode.too_large, "header_length 2147483648"),
        (b"\1\0\0\0" + struct.pack("<II", 0, 2**32 - 1), ErrorCode.too_large, "raw_length 4294967295"),
        (b"\0\0\0\0" + bytes(8), ErrorCode.bad_request, "kind 0"),
        (b"\3\0\0\0" + bytes(8), ErrorCode.bad_request, "kind 3"),
        (b"\1\0\0\1" + bytes(8), ErrorCode.bad_request, "reserved"),
        (b"\1\0\0\0" + bytes(8), ErrorCode.bad_request, "header_length 0"),
    ],
)
def test_a_bad_prefix_is_refused_from_its_twelve_bytes(prefix: bytes, code: ErrorCode, words: str):
    reader = FrameReader(LIMITS)
    reader.feed(prefix[:11])
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        reader.feed(prefix[11:])
    assert caught.value.code is code
    assert reader.partial_bytes == 12


def test_lengths_at_the_limit_are_taken():
    reader = FrameReader(LIMITS)
    reader.feed(wire(MESSAGE, b"h" * 100, b"r" * 1000))
    assert drain(reader) == [(MESSAGE, b"h" * 100, b"r" * 1000)]


def test_memory_follows_what_arrived_and_not_what_was_announced():
    reader = FrameReader(FrameLimits(1, 1 << 31, "everything"))
    reader.feed(b"\1\0\0\0" + struct.pack("<II", 1, 1 << 31) + b"abc")
    assert reader.partial_bytes == 15


def test_nothing_raw_where_a_request_is_refused():
    reader = FrameReader(REFUSED_LIMITS)
    with pytest.raises(RemoteProtocolError, match="raw_length 1; the limit of this method is 0"):
        reader.feed(wire(MESSAGE, b"h", b"x"))


def test_wire_bytes_counts_the_prefix():
    assert Frame(MESSAGE, b"abc", b"de").wire_bytes == 17


def test_small_frames_that_nobody_takes_stay_as_they_came():
    count = 40_000
    on_the_wire = wire(MESSAGE, b"h", b"") * count
    tracemalloc.start()
    try:
        reader = FrameReader(LIMITS)
        for start in range(0, len(on_the_wire), 100_000):
            reader.feed(on_the_wire[start : start + 100_000])
        held_bytes, _ = tracemalloc.get_traced_memory()
        assert held_bytes < 1.1 * len(on_the_wire)
    finally:
        tracemalloc.stop()
    assert len(drain(reader)) == count


def test_a_bad_prefix_behind_frames_that_nobody_took_costs_none_of_them():
    reader = FrameReader(LIMITS)
    reader.feed(wire(MESSAGE, b"h", b"") * 100 + b"\3\0\0\0" + bytes(8))
    taken = [reader.next_frame() for _ in range(100)]
    assert None not in taken
    with pytest.raises(RemoteProtocolError, match="kind 3"):
        reader.next_frame()
