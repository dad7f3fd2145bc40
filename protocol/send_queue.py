"""Bytes that wait to become DATA frames: one queue per stream, frames taken in turn.

Invariant: pieces are the caller's objects and are never copied; who queued a piece leaves it alone until it is gone.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from protocol.framing import BytesLike


class _Stream(msgspec.Struct):
    pieces: deque[memoryview] = msgspec.field(default_factory=deque)
    size_bytes: int = 0
    ending: bool = False


class SendQueue:
    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    def add(self, stream_id: int, pieces: Iterable[BytesLike]) -> None:
        stream = self._streams.setdefault(stream_id, _Stream())
        for piece in pieces:
            view = memoryview(piece).cast("B")
            if view.nbytes:
                stream.pieces.append(view)
                stream.size_bytes += view.nbytes

    def end(self, stream_id: int) -> None:
        self._streams.setdefault(stream_id, _Stream()).ending = True

    def drop(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)

    def size_bytes(self, stream_id: int) -> int:
        return self._streams[stream_id].size_bytes

    def unsent(self, stream_id: int) -> int:
        """Bytes that wait, and one for an end that was not said; 0 when nothing is to be done."""
        stream = self._streams.get(stream_id)
        return stream.size_bytes + stream.ending if stream else 0

    def waiting(self) -> list[int]:
        """Streams with something to send, the one that waits longest first."""
        return list(self._streams)

    def take(self, stream_id: int, limit_bytes: int) -> list[memoryview]:
        """The next bytes of the stream, at most `limit_bytes`; the stream goes to the end of the row."""
        stream = self._streams.pop(stream_id)
        self._streams[stream_id] = stream
        taken: list[memoryview] = []
        while limit_bytes and stream.pieces:
            piece = stream.pieces.popleft()
            if piece.nbytes > limit_bytes:
                stream.pieces.appendleft(piece[limit_bytes:])
                piece = piece[:limit_bytes]
            taken.append(piece)
            limit_bytes -= piece.nbytes
            stream.size_bytes -= piece.nbytes
        return taken

    def settle(self, stream_id: int) -> bool:
        """After a take: forget a stream with nothing left; True when its end is to be said now."""
        stream = self._streams[stream_id]
        if stream.size_bytes:
            return False
        del self._streams[stream_id]
        return stream.ending
