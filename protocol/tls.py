"""TLS of one connection over its socket, through memory buffers.

trio.SSLStream hands over 16 KiB at a time and costs a nanosecond per byte more.
"""

import os
import ssl
from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

import trio

from protocol import limits
from protocol.errors import ConnectionClosed
from protocol.framing import BytesLike

_SMALL_PIECE_BYTES = 16 * 1024  # smaller ones are joined: each write is a TLS record of its own


class _Reading:
    """What all connections of an event loop read into: a thousand idle ones with buffers of their own would be a
    gigabyte. Nobody may wait between filling one and being done with it.

    `busy` are the connections whose last read left something. They share what one turn of the loop reads, because it
    decrypts and cuts that too, and whatever else is ready waits meanwhile.
    """

    def __init__(self) -> None:
        self.received = memoryview(bytearray(limits.READ_BYTES))
        self.plain = memoryview(bytearray(limits.READ_BYTES))
        self.busy: WeakSet[Tls] = WeakSet()

    def room(self) -> memoryview:
        return self.received[: max(limits.READ_BYTES_MIN, limits.READ_BYTES // max(1, len(self.busy)))]


_reading: trio.lowlevel.RunVar[_Reading] = trio.lowlevel.RunVar("what is received and read now")


def _reading_now() -> _Reading:
    try:
        return _reading.get()
    except LookupError:
        reading = _Reading()
        _reading.set(reading)
        return reading


class Tls:
    """TLS between a stream and plaintext buffers; never waits in the middle of a record."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, server_name: str | None) -> None:
        self._socket = stream.socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._is_drained = False  # the last read took all that was there
        self._rest = memoryview(b"")  # of what was taken from there, what the socket has not taken yet
        self._object: Any = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )

    async def handshake(self) -> None:
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                await self.fill()
            except ssl.SSLError:
                await self.flush()  # the alert that says why
                raise
            else:
                break
        await self.flush()
        if self._object.selected_alpn_protocol() != "h2":
            raise ssl.SSLError("the other side does not offer HTTP/2 (ALPN h2)")

    @property
    def peer_certificate(self) -> bytes | None:
        certificate: bytes | None = self._object.getpeercert(binary_form=True)
        return certificate

    @property
    def wants_flush(self) -> bool:
        return len(self._rest) > 0 or self._outgoing.pending > 0

    async def fill(self) -> None:
        """Waits for something to come. Reads without Trio's socket, which would copy what came once more and let others
        run while it lies in the buffer of all."""
        await self._turn()
        reading = _reading_now()
        while True:
            room = reading.room()
            try:
                count = os.readv(self._socket.fileno(), [room])
            except BlockingIOError:
                reading.busy.discard(self)
                await trio.lowlevel.wait_readable(self._socket)
                continue
            if not count:
                raise ConnectionClosed("the other side closed the connection")
            self._is_drained = count < len(room)
            if self._is_drained:
                reading.busy.discard(self)
            else:
                reading.busy.add(self)
            self._incoming.write(room[:count])
            return

    def stop_reading(self) -> None:
        """Nothing is read from this connection any more."""
        _reading_now().busy.discard(self)

    async def _turn(self) -> None:
        """One turn of the event loop: others go first, and where nothing can be there it waits at once."""
        if self._is_drained:
            await trio.lowlevel.wait_readable(self._socket)
        else:
            await trio.lowlevel.checkpoint()

    def read(self) -> memoryview:
        """Plaintext that is here; empty when more must be filled in. Valid until the next checkpoint."""
        plain = _reading_now().plain
        length = 0
        while length < len(plain):
            try:
                count = self._object.read(len(plain) - length, plain[length:])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                count = 0
            if not count:
                if not length:
                    raise ConnectionClosed("the other side closed the connection")
                break
            length += count
        return plain[:length]

    def seal(self, pieces: Iterable[BytesLike]) -> None:
        small = bytearray()
        for piece in pieces:
            if len(piece) < _SMALL_PIECE_BYTES:
                small += piece
                continue
            if small:
                self._object.write(small)
                small = bytearray()
            self._object.write(piece)
        if small:
            self._object.write(small)

    async def flush(self) -> None:
        """Raises TooSlowError when the other side takes nothing at all for too long. The next one goes on where one
        that was cancelled stopped."""
        await trio.lowlevel.checkpoint()
        while self.wants_flush:
            self._rest = self._rest or memoryview(self._outgoing.read())
            try:
                self._rest = self._rest[os.write(self._socket.fileno(), self._rest) :]
            except BlockingIOError:
                with trio.fail_after(limits.WRITE_SECONDS):
                    await trio.lowlevel.wait_writable(self._socket)
