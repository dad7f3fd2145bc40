"""Frames: a message and, beside it, raw bytes (docs/protocol.md, Framing).

Invariant: both lengths are checked from the first 12 bytes, before any of the body is kept; memory follows the bytes
that arrived, never a declared length.
"""

import struct
from collections import deque
from collections.abc import Iterable

import msgspec

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import ANSWER_HEADER_BYTES_MAX, FRAME_RAW_BYTES_MAX, SMALL_HEADER_BYTES_MAX

BytesLike = bytes | bytearray | memoryview

MESSAGE = 1
ERROR = 2
PREFIX = struct.Struct("<B3sII")
# Whole frames that nobody took yet. What came behind them stays as it is: small frames cost many times their size.
FRAMES_AHEAD_MAX = 16


class Frame(msgspec.Struct, frozen=True):
    kind: int
    header: bytes
    raw: bytes | memoryview

    @property
    def wire_bytes(self) -> int:
        return PREFIX.size + len(self.header) + len(self.raw)


class FrameLimits(msgspec.Struct, frozen=True):
    """The largest parts of a frame; `of` is what has them, for people."""

    header_bytes: int
    raw_bytes: int
    of: str

    @property
    def frame_bytes(self) -> int:
        return PREFIX.size + self.header_bytes + self.raw_bytes

    def check(self, header_length: int, raw_length: int) -> None:
        """Raises too_large with the length and the limit."""
        self._check("header_length", header_length, self.header_bytes)
        self._check("raw_length", raw_length, self.raw_bytes)

    def _check(self, field: str, length: int, limit: int) -> None:
        if length > limit:
            raise _bad(ErrorCode.too_large, f"a frame has {field} {length}; the limit of {self.of} is {limit} bytes")


ANSWER_LIMITS = FrameLimits(ANSWER_HEADER_BYTES_MAX, FRAME_RAW_BYTES_MAX, "an answer")
# Of a request that will be refused whatever it holds: no such method, or not before sign-in.
REFUSED_LIMITS = FrameLimits(SMALL_HEADER_BYTES_MAX, 0, "this method")


def encode_frame(kind: int, header: bytes, raw_pieces: BytesLike | Iterable[BytesLike] = ()) -> list[BytesLike]:
    """The pieces of one frame in order; the raw pieces are the caller's own objects, not copies."""
    if isinstance(raw_pieces, bytes | bytearray | memoryview):
        raw_pieces = (raw_pieces,)
    pieces = [piece for piece in raw_pieces if len(piece)]
    raw_length = sum(memoryview(piece).nbytes for piece in pieces)
    return [PREFIX.pack(kind, b"\0\0\0", len(header), raw_length) + header, *pieces]


class FrameReader:
    """Bytes in any pieces in, whole frames out."""

    def __init__(self, limits: FrameLimits) -> None:
        self._limits = limits
        self._prefix = bytearray()
        self._kind = 0
        self._header = bytearray()
        self._raw = bytearray()
        self._header_length = 0
        self._raw_length = 0
        self._frames: deque[Frame] = deque()
        self._uncut: deque[memoryview] = deque()
        self._fault: RemoteProtocolError | None = None  # behind frames that nobody took yet

    def feed(self, data: BytesLike) -> None:
        """Takes over a copy of `data`; raises RemoteProtocolError for a prefix that is not allowed."""
        rest = memoryview(data) if self._uncut else self._cut(memoryview(data))
        if rest:
            self._uncut.append(memoryview(bytes(rest)))

    def next_frame(self) -> Frame | None:
        """Raises as `feed` does: what follows frames that nobody took is looked at when they are taken."""
        while self._uncut and not self._frames:
            try:
                rest = self._cut(self._uncut.popleft())
            except RemoteProtocolError as error:
                self._fault = error
                self._uncut.clear()
                break
            if rest:
                self._uncut.appendleft(rest)
        if not self._frames and self._fault is not None:
            raise self._fault
        return self._frames.popleft() if self._frames else None

    def end(self) -> None:
        """The stream ended here: raises if that was inside a frame."""
        if self._prefix:
            missing = self._header_length + self._raw_length - len(self._header) - len(self._raw)
            where = "its 12 byte prefix" if len(self._prefix) < PREFIX.size else f"the last {missing} bytes of its body"
            raise _bad(ErrorCode.bad_request, f"the stream ended inside a frame, before {where}")

    @property
    def partial_bytes(self) -> int:
        """Bytes of the frame that is not whole yet."""
        return len(self._prefix) + len(self._header) + len(self._raw)

    @property
    def awaited(self) -> tuple[int, int]:
        """The whole length of the frame that is not whole yet, as far as known, and how many bytes of it miss."""
        whole = PREFIX.size
        if len(self._prefix) == PREFIX.size:
            whole += self._header_length + self._raw_length
        return whole, whole - self.partial_bytes

    @property
    def may_have_frame(self) -> bool:
        return bool(self._frames or self._uncut or self._fault)

    def _cut(self, view: memoryview) -> memoryview:
        """What is left when enough frames wait."""
        while view and len(self._frames) < FRAMES_AHEAD_MAX:
            view = self._take_prefix(view) if len(self._prefix) < PREFIX.size else self._take_body(view)
        return view

    def _take_prefix(self, view: memoryview) -> memoryview:
        count = min(PREFIX.size - len(self._prefix), len(view))
        self._prefix += view[:count]
        if len(self._prefix) == PREFIX.size:
            self._check_prefix()
        return view[count:]

    def _check_prefix(self) -> None:
        self._kind, reserved, self._header_length, self._raw_length = PREFIX.unpack(self._prefix)
        if self._kind not in (MESSAGE, ERROR):
            raise _bad(ErrorCode.bad_request, f"a frame has the kind {self._kind}; 1 and 2 are known")
        if reserved != b"\0\0\0":
            raise _bad(ErrorCode.bad_request, "the reserved bytes of a frame are not zero")
        self._limits.check(self._header_length, self._raw_length)
        if not self._header_length:
            raise _bad(ErrorCode.bad_request, "a frame has header_length 0; every message has at least one byte")

    def _take_body(self, view: memoryview) -> memoryview:
        if len(self._header) < self._header_length:
            part, missing = self._header, self._header_length - len(self._header)
        else:
            part, missing = self._raw, self._raw_length - len(self._raw)
        count = min(missing, len(view))
        part += view[:count]
        self._finish_if_whole()
        return view[count:]

    def _finish_if_whole(self) -> None:
        if len(self._header) < self._header_length or len(self._raw) < self._raw_length:
            return
        self._frames.append(Frame(self._kind, bytes(self._header), memoryview(self._raw)))
        self._prefix = bytearray()
        self._header = bytearray()
        self._raw = bytearray()


def _bad(code: ErrorCode, message: str) -> RemoteProtocolError:
    return RemoteProtocolError(code, message)
