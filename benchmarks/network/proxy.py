"""A link between programs of one machine, as a process of its own: it delays, limits the rate, and counts.

Programs connect to the proxy instead of the server. Each direction takes half of the round trip and is one link for
all connections together, with a queue of 4 MiB in front of it; who sends faster has to wait. The set-up of a
connection costs a round trip too. Packets are not lost, and windows of TCP are as large as the link: what is seen is a
link whose ends are well set up.

At SIGTERM or SIGINT it writes {connections, bytes_up, bytes_down, round_trips, begun_up, ended_up, gaps_up} and ends
with exit 0. Up is from the client to the server; when its first byte came and its last one left are times of the
system's monotonic clock, and so is the first figure of each gap (benchmarks/network/gaps.py).
What round_trips counts says benchmarks/network/round_trips.py: one for the set-up of each
connection, and one for each question that was asked after the answer to the one before.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import trio

from benchmarks.network.link import Link
from benchmarks.network.relay import Relay, Wire, reset
from benchmarks.network.round_trips import RoundTrips

BYTES_PER_SECOND_PER_MBIT = 125_000
# Less than the system would take by itself: the queue that counts is that of the link.
RECEIVE_BUFFER_BYTES = 256 << 10
BACKLOG = 1024


class Proxy:
    """All connections of one link. `round_trip_seconds` 0 and no rate: it only counts."""

    def __init__(self, to: tuple[str, int], round_trip_seconds: float, rate_bytes_per_second: float | None) -> None:
        self._to = to
        self._round_trip_seconds = round_trip_seconds
        self._rate_bytes_per_second = rate_bytes_per_second
        self._up, self._down = (
            Wire(Link(rate_bytes_per_second=rate_bytes_per_second, delay_seconds=round_trip_seconds / 2))
            for _ in range(2)
        )
        self._connections: list[RoundTrips] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection of a client, to its end; a server that refuses or breaks off is a reset."""
        counts = RoundTrips()
        self._connections.append(counts)
        client = stream.socket
        try:
            server = (await trio.open_tcp_stream(*self._to)).socket
        except OSError as problem:
            print(f"{self._to[0]}:{self._to[1]}: {problem}", file=sys.stderr)
            reset(client)
            return
        try:
            if self._rate_bytes_per_second is not None:
                for end in (client, server):
                    end.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            await Relay(self._up, self._down, self._round_trip_seconds, counts).run(client, server)
        except* OSError:
            reset(client)
            reset(server)
        finally:
            client.close()
            server.close()

    def counts(self, clock_begins_at: float) -> dict[str, Any]:
        """`clock_begins_at`: trio's clock has a beginning of its own; this is it on the system's one."""
        up = self._up.gaps
        return {
            "connections": len(self._connections),
            "bytes_up": self._up.taken_bytes,
            "bytes_down": self._down.taken_bytes,
            "round_trips": sum(connection.client_depth for connection in self._connections),
            "begun_up": clock_begins_at + (up.begun_at or 0),
            "ended_up": clock_begins_at + up.ended_at,
            "gaps_up": [(clock_begins_at + at, seconds, carried) for at, seconds, carried in up.found],
        }


async def run(proxy: Proxy, host: str, port: int) -> dict[str, Any]:
    """Until SIGTERM or SIGINT; the counts."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
            nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
            bound = listeners[0].socket.getsockname()
            print(f"listening on {host}:{bound[1]}", flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break
        return proxy.counts(time.monotonic() - trio.current_time())


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network.proxy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--to", type=address, required=True, metavar="HOST:PORT", help="the server")
    parser.add_argument(
        "--listen",
        type=address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="default 127.0.0.1:0, any free port; the port is printed: listening on HOST:PORT",
    )
    parser.add_argument("--round-trip-ms", type=float, default=0.0, metavar="N", help="default 0")
    parser.add_argument("--rate-mbit", type=float, metavar="N", help="of each direction; default: as fast as it goes")
    parser.add_argument("--counts", type=Path, metavar="FILE", help="where the counts are written at the end")
    options = parser.parse_args()
    rate = None if options.rate_mbit is None else options.rate_mbit * BYTES_PER_SECOND_PER_MBIT
    proxy = Proxy(options.to, options.round_trip_ms / 1000, rate)
    counts = trio.run(run, proxy, *options.listen)
    if options.counts is not None:
        options.counts.write_text(json.dumps(counts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
