"""Carries the bytes of one connection over both directions of a link."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable

import trio

from benchmarks.network.gaps import Gaps
from benchmarks.network.link import Link
from benchmarks.network.round_trips import RoundTrips

RESET = struct.pack("ii", 1, 0)


class Wire:
    """One direction of the link, shared by all connections; they take turns, a piece each, in the order they came."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.taken_bytes = 0
        self.gaps = Gaps()
        self._turn = trio.StrictFIFOLock()

    async def take(self, source: trio.socket.SocketType) -> tuple[float, bytes]:
        """The next piece (empty at the end of the stream) and when it arrives; waits for bytes, then for room."""
        await trio.lowlevel.wait_readable(source)
        async with self._turn:
            room_at = self.link.room_at(trio.current_time())
            if room_at > trio.current_time():
                await trio.sleep_until(room_at)
            piece = await source.recv(self.link.piece_bytes())
            self.taken_bytes += len(piece)
            now = trio.current_time()
            arrives_at = self.link.send(now, len(piece))
            self.gaps.carry(now, len(piece), arrives_at - self.link.delay_seconds)
            return arrives_at, piece


class UnderWay:
    """Pieces of one connection in one direction that have been taken and not yet given, in order."""

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._pieces: deque[tuple[float, int, bytes]] = deque()
        self._held_bytes = 0
        self._changed = trio.Event()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for_room(self) -> None:
        while self._held_bytes >= self._window_bytes:
            await self._changed.wait()

    def put(self, arrives_at: float, depth: int, piece: bytes) -> None:
        self._pieces.append((arrives_at, depth, piece))
        self._held_bytes += len(piece)
        self._tell()

    async def first(self) -> tuple[float, int, bytes]:
        while not self._pieces:
            await self._changed.wait()
        return self._pieces[0]

    def drop_first(self) -> None:
        self._held_bytes -= len(self._pieces.popleft()[2])
        self._tell()


class Relay:
    """One connection. Each end may close its half alone; an error of one end resets the other."""

    def __init__(self, up: Wire, down: Wire, round_trip_seconds: float, counts: RoundTrips) -> None:
        self._up = up
        self._down = down
        self._round_trip_seconds = round_trip_seconds
        self._counts = counts

    async def run(self, client: trio.socket.SocketType, server: trio.socket.SocketType) -> None:
        """Returns when both directions have ended. Raises OSError groups of either end.

        The system's own set-up of a connection on one machine costs nothing, so bytes of the client are taken a round
        trip after it connected, and bytes of the server when the last packet of the set-up would have come there.
        """
        accepted_at = trio.current_time()
        counts = self._counts
        up = UnderWay(self._up.link.window_bytes())
        down = UnderWay(self._down.link.window_bytes())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                take_all, client, self._up, up, lambda: counts.client_depth, accepted_at + self._round_trip_seconds
            )
            nursery.start_soon(give_all, up, server, counts.arrive_at_server)
            nursery.start_soon(
                take_all,
                server,
                self._down,
                down,
                lambda: counts.server_depth,
                accepted_at + 1.5 * self._round_trip_seconds,
            )
            nursery.start_soon(give_all, down, client, counts.arrive_at_client)


async def take_all(
    source: trio.socket.SocketType, wire: Wire, under_way: UnderWay, depth: Callable[[], int], begins_at: float
) -> None:
    await trio.sleep_until(begins_at)
    piece = b"-"
    while piece:
        await under_way.wait_for_room()
        arrives_at, piece = await wire.take(source)
        under_way.put(arrives_at, depth(), piece)


async def give_all(under_way: UnderWay, sink: trio.socket.SocketType, arrived: Callable[[int], None]) -> None:
    while True:
        arrives_at, depth, piece = await under_way.first()
        if arrives_at > trio.current_time():
            await trio.sleep_until(arrives_at)
        if not piece:
            sink.shutdown(socket.SHUT_WR)
            return
        arrived(depth)
        rest = memoryview(piece)
        while rest:
            rest = rest[await sink.send(rest) :]
        under_way.drop_first()


def reset(connection: trio.socket.SocketType) -> None:
    """Closes so that the other end sees an error, and never takes what came so far for everything."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
