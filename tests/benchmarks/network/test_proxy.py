"""The proxy as a process, between sockets of this test: what comes through, and what it counts. Nothing is timed."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

LINKS = {
    "counts only": [],
    "link": ["--round-trip-ms", "20", "--rate-mbit", "1000"],
    "slow link": ["--round-trip-ms", "2", "--rate-mbit", "100"],
}
SIZE_BYTES = 3_000_001


class Proxied:
    """A server socket with the proxy before it. `end` gives what it wrote."""

    def __init__(self, counts: Path, options: list[str]) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(60)
        self._counts = counts
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.network.proxy", "--to", f"127.0.0.1:{self.server.getsockname()[1]}"]
            + ["--counts", str(counts), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        self.port = int(line.rpartition(":")[2])

    def pair(self) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        server, _ = self.server.accept()
        server.settimeout(60)
        return client, server

    def end(self, signal_number: int = signal.SIGTERM) -> dict[str, int]:
        self.process.send_signal(signal_number)
        assert self.process.wait(60) == 0
        return json.loads(self._counts.read_text(encoding="utf-8"))


@pytest.fixture
def proxied(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Proxied]:
    made = Proxied(tmp_path / "counts.json", LINKS[getattr(request, "param", "counts only")])
    yield made
    made.server.close()
    made.process.kill()
    made.process.wait()
    assert made.process.stdout is not None
    made.process.stdout.close()


def read_all(source: socket.socket) -> bytes:
    pieces = []
    while piece := source.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def send_and_end(sink: socket.socket, content: bytes) -> threading.Thread:
    def work() -> None:
        sink.sendall(content)
        sink.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("proxied", list(LINKS), indirect=True)
def test_both_directions_come_through_identical_and_are_counted(proxied: Proxied) -> None:
    source = random.Random(5)
    up, down = source.randbytes(SIZE_BYTES), source.randbytes(SIZE_BYTES + 1)
    pairs = [proxied.pair() for _ in range(2)]
    threads = [thread for c, s in pairs for thread in (send_and_end(c, up), send_and_end(s, down))]
    for client, server in pairs:
        with client, server:
            assert read_all(server) == up
            assert read_all(client) == down
    for thread in threads:
        thread.join()
    counts = proxied.end()
    assert (counts["connections"], counts["bytes_up"], counts["bytes_down"]) == (2, 6_000_002, 6_000_004)


@pytest.mark.parametrize("proxied", ["link"], indirect=True)
def test_who_ended_its_half_still_gets_the_answer(proxied: Proxied) -> None:
    client, server = proxied.pair()
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        server.sendall(b"ans")
        assert client.recv(3, socket.MSG_WAITALL) == b"ans"
        server.sendall(b"wer")
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"wer"
    assert proxied.end()["bytes_down"] == 6


@pytest.mark.parametrize("proxied", list(LINKS), indirect=True)
def test_a_scripted_conversation_has_its_round_trips(proxied: Proxied) -> None:
    for questions in (4, 1):
        client, server = proxied.pair()
        with client, server:
            for _ in range(questions):
                client.sendall(b"ping")
                assert server.recv(4, socket.MSG_WAITALL) == b"ping"
                server.sendall(b"pong!")
                assert client.recv(5, socket.MSG_WAITALL) == b"pong!"
    told = proxied.end(signal.SIGINT)
    counted = {name: told[name] for name in ("connections", "bytes_up", "bytes_down", "round_trips")}
    assert counted == {"connections": 2, "bytes_up": 20, "bytes_down": 25, "round_trips": 2 + 5}
    assert 0 < told["begun_up"] <= told["ended_up"] <= time.monotonic()


def test_a_reset_of_one_end_reaches_the_other(proxied: Proxied) -> None:
    client, server = proxied.pair()
    with client:
        server.sendall(b"half")
        assert client.recv(4, socket.MSG_WAITALL) == b"half"
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_server_that_is_away_is_a_reset_and_the_next_client_is_served(proxied: Proxied) -> None:
    place = proxied.server.getsockname()
    proxied.server.close()
    with pytest.raises(ConnectionResetError):  # as early as it is accepted, or a moment later
        with socket.create_connection(("127.0.0.1", proxied.port), timeout=60) as client:
            client.recv(1)
    proxied.server = socket.create_server(place)
    proxied.server.settimeout(60)
    client, server = proxied.pair()
    with client, server:
        client.sendall(b"x")
        assert server.recv(1) == b"x"
    assert proxied.end()["connections"] == 2


@pytest.mark.parametrize("proxied", ["counts only", "link"], indirect=True)
def test_a_receiver_that_does_not_read_stops_its_sender_and_nobody_else(proxied: Proxied) -> None:
    stuck_client, stuck_server = proxied.pair()
    content = bytes(1 << 20)
    with stuck_client, stuck_server:
        stuck_client.settimeout(2)
        with pytest.raises(TimeoutError):
            stuck_client.sendall(content * 256)
        client, server = proxied.pair()
        with client, server:
            thread = send_and_end(client, content)
            assert read_all(server) == content
            thread.join()
