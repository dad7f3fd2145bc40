"""Cuts the byte stream of HTTP/2 into frames for h2 and pieces of DATA that go around it.

Invariant: a frame's length is checked from its 9-byte header, before a byte of its body is kept; DATA that goes around
h2 is never kept at all.
"""

from typing import Protocol

import msgspec

HEADER_BYTES = 9


class FrameHeader(msgspec.Struct, frozen=True):
    length: int
    kind: int
    flags: int
    stream_id: int


class FrameSink(Protocol):
    def on_header(self, header: FrameHeader) -> bool:
        """Checks the header; True when the body goes around h2, piece by piece."""

    def on_piece(self, header: FrameHeader, piece: memoryview, *, last: bool) -> None: ...

    def on_frame(self, frame: bytes) -> None:
        """A whole frame with its header, for h2."""


class FrameScanner:
    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._kept = bytearray()
        self._header: FrameHeader | None = None  # of the frame whose body is read now
        self._around = False
        self._missing = HEADER_BYTES  # bytes until the header, or the body, is whole

    def feed(self, data: memoryview) -> None:
        while data:
            piece, data = data[: self._missing], data[self._missing :]
            self._missing -= len(piece)
            if self._header is not None and self._around:
                self._pass_on(self._header, piece)
                continue
            self._kept += piece
            if not self._missing:
                self._step()

    def _pass_on(self, header: FrameHeader, piece: memoryview) -> None:
        last = not self._missing
        if last:
            self._expect_header()
        self._sink.on_piece(header, piece, last=last)

    def _step(self) -> None:
        if self._header is None:
            self._header = _parse(self._kept)
            self._around = self._sink.on_header(self._header)
            self._missing = self._header.length
        if not self._missing:
            frame = bytes(self._kept)
            self._expect_header()
            self._sink.on_frame(frame)

    def _expect_header(self) -> None:
        self._kept = bytearray()
        self._header = None
        self._missing = HEADER_BYTES


def _parse(data: bytearray) -> FrameHeader:
    return FrameHeader(
        length=int.from_bytes(data[:3], "big"),
        kind=data[3],
        flags=data[4],
        stream_id=int.from_bytes(data[5:9], "big") & 0x7FFFFFFF,
    )


def frame_kinds(data: bytes) -> list[int]:
    """The kinds of the whole frames in `data`."""
    kinds, position = [], 0
    while position + HEADER_BYTES <= len(data):
        kinds.append(data[position + 3])
        position += HEADER_BYTES + int.from_bytes(data[position : position + 3], "big")
    return kinds
