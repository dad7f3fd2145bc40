"""The buffers that all connections of an event loop share, and the kernel's for sending."""

import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.codec import decode
from protocol.exchange import Exchange
from protocol.tls import Tls
from tests.protocol.support.certificates import Site
from tests.protocol.support.loopback import Server, connected, greet, say_hello

KIB, MIB = 1024, 1024 * 1024
CONNECTIONS = 4
SO_BUF_LOCK, SEND_BUFFER_LOCK = 72, 1  # linux/socket.h and net/sock.h; the socket module has no names for them
ALLOWED_BYTES = int(Path("/proc/sys/net/core/wmem_max").read_text(encoding="ascii"))


async def test_connections_that_receive_at_once_mix_nothing(site: Site):
    contents = [os.urandom(6 * MIB) for _ in range(CONNECTIONS)]
    received: dict[int, bytes] = {}

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        while (frame := await exchange.receive_frame()) is not None:
            number = decode(frame.header, m.UploadBatch).number
            received[number] = bytes(frame.raw)
            exchange.let_go(frame)
            await exchange.send_message(m.UploadDurable(number))

    async def upload(port: int, number: int) -> None:
        async with connected(site, port) as client:
            await say_hello(client)
            async with client.call("chunk.upload") as call:
                await call.send(m.UploadBatch(b"r" * 16, number, [100], b"c" * 32), [contents[number]])
                await call.receive(m.UploadDurable)
                await call.end()

    async with Server(site, handler).running() as server, trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(upload, server.port, number)
    assert [received[number] for number in range(CONNECTIONS)] == contents
    assert server.losses == []


async def test_connections_with_more_to_read_share_what_one_turn_of_the_loop_reads(monkeypatch: pytest.MonkeyPatch):
    """All of it is decrypted and cut in that turn, and everybody else waits."""
    monkeypatch.setattr(limits, "READ_BYTES", 64 * KIB)
    monkeypatch.setattr(limits, "READ_BYTES_MIN", 8 * KIB)
    rooms = rooms_of_reads(monkeypatch)
    with ExitStack() as ends:
        full = [filled(ends, 200 * KIB) for _ in range(16)]
        for tls in full[:4]:
            await tls.fill()
        del rooms[:]
        for tls in full[:4]:
            await tls.fill()
        assert rooms == 4 * [16 * KIB]
        for tls in full[4:]:
            await tls.fill()
        assert rooms[-1] == 8 * KIB, "a connection gets on however many there are"
        for tls in full[1:]:
            tls.stop_reading()
        await full[0].fill()
        assert rooms[-1] == 64 * KIB


async def test_a_connection_without_anything_left_has_no_share(monkeypatch: pytest.MonkeyPatch):
    """One that sent as much as a read takes, and nothing more since."""
    monkeypatch.setattr(limits, "READ_BYTES", 64 * KIB)
    monkeypatch.setattr(limits, "READ_BYTES_MIN", 8 * KIB)
    with ExitStack() as ends:
        waiting, other = filled(ends, 64 * KIB), filled(ends, 200 * KIB)
        await waiting.fill()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiting.fill)
            await trio.testing.wait_all_tasks_blocked()
            await other.fill()
            rooms = rooms_of_reads(monkeypatch)
            await other.fill()
            nursery.cancel_scope.cancel()
        assert rooms == [64 * KIB]


def rooms_of_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much each read from now on may take."""
    rooms: list[int] = []
    real_readv = os.readv

    def readv(descriptor: int, buffers: list[memoryview]) -> int:
        rooms.append(len(buffers[0]))
        return real_readv(descriptor, buffers)

    monkeypatch.setattr(os, "readv", readv)
    return rooms


def filled(ends: ExitStack, size_bytes: int) -> Tls:
    """TLS of a socket to which so much was sent."""
    near, far = socket.socketpair()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size_bytes)
    ends.enter_context(far).sendall(bytes(size_bytes))
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ends.enter_context(near)))
    return Tls(stream, ssl.create_default_context(), "vault")


async def test_both_sides_send_from_a_large_buffer_where_the_system_allows_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "SEND_BUFFER_BYTES", ALLOWED_BYTES)
    seen = await buffers_of_a_connection(site)
    # The kernel counts its own part too, and says twice of what was asked for.
    assert [size_bytes for size_bytes, _ in seen] == [2 * ALLOWED_BYTES] * 2


async def test_where_it_allows_less_the_buffers_grow_as_the_kernel_sees_fit(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    """One that was set does not grow any more, and many systems let nobody ask for more than a fifth of a MiB."""
    monkeypatch.setattr(limits, "SEND_BUFFER_BYTES", ALLOWED_BYTES + 1)
    seen = await buffers_of_a_connection(site)
    assert [is_fixed for _, is_fixed in seen] == [False, False]


async def buffers_of_a_connection(site: Site) -> list[tuple[int, bool]]:
    seen: list[tuple[int, bool]] = []

    async def handler(exchange: Exchange) -> None:
        await greet(exchange)
        seen.extend(send_buffers_of(server.port))

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
    return seen


def send_buffers_of(port: int) -> list[tuple[int, bool]]:
    """Of both ends of the connections of this process to a port: how large, and whether it keeps that size."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            copy = socket.socket(fileno=os.dup(int(number)))
        except OSError:  # no socket
            continue
        with copy:
            try:
                ports = {copy.getsockname()[1], copy.getpeername()[1]}
            except (OSError, IndexError):  # not connected, or not of this family
                continue
            if port in ports:
                locks = copy.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK)
                found.append((copy.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), bool(locks & SEND_BUFFER_LOCK)))
    return found
