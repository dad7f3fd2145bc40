"""Requests over TLS on this machine: whole ones, broken ones, early answers, and what a slow side may hold."""

import errno
import os
import socket
from contextlib import suppress

import pytest
import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.codec import decode, encode
from protocol.errors import ConnectionLost, ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.exchange import Exchange
from protocol.messages import ErrorMessage
from protocol.transport import ClientTransport
from tests.protocol.support.certificates import Site
from tests.protocol.support.loopback import GREETING, HELLO, Server, connected, greet, say_hello

MIB = 1024 * 1024
BATCH = m.UploadBatch(b"r" * 16, 0, [100], b"c" * 32)


def numbered(number: int) -> m.UploadBatch:
    return m.UploadBatch(b"r" * 16, number, [100], b"c" * 32)


async def test_hello_tells_who_is_there(site: Site):
    seen = []

    async def handler(exchange: Exchange) -> None:
        seen.append((exchange.method, exchange.http_method, exchange.path, exchange.peer))
        frame = await exchange.receive_frame()
        assert decode(frame.header, m.HelloRequest) == HELLO
        assert await exchange.receive_frame() is None
        await exchange.send_message(GREETING)

    async with Server(site, handler).running() as server:
        async with connected(site, server.port) as person:
            assert await person.ask("hello", HELLO, m.HelloAnswer) == (GREETING, b"")
        async with connected(site, server.port, agent=True) as agent:
            await agent.ask("hello", HELLO, m.HelloAnswer)
    assert [entry[:3] for entry in seen] == [("hello", "POST", "/v1/hello")] * 2
    assert [entry[3].certificate for entry in seen] == [None, site.agent_der]
    assert {entry[3].address for entry in seen} == {"127.0.0.1"}


async def test_an_upload_and_its_answers_while_it_runs(site: Site):
    content = [bytes([number]) * (3 * MIB + number) for number in range(5)]
    received = []

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        while (frame := await exchange.receive_frame()) is not None:
            received.append(bytes(frame.raw))
            exchange.let_go(frame)
            await exchange.send_message(m.UploadDurable(decode(frame.header, m.UploadBatch).number))

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("chunk.upload") as call:
            for number, raw in enumerate(content):
                await call.send(numbered(number), [raw[:7], raw[7:MIB], memoryview(raw)[MIB:]])
                answer, _ = await call.receive(m.UploadDurable)
                assert answer.number == number
            await call.end()
            assert await call.receive(m.UploadDurable) is None
    assert received == content
    assert server.losses == []


async def test_a_download_in_order(site: Site):
    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        frame = await exchange.receive_frame()
        assert bytes(frame.raw) == b"i" * 64
        for number in range(4):
            await exchange.send_message(m.FetchBatch([100 + number], [], []), bytes([number]) * 5 * MIB)

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("chunk.fetch") as call:
            await call.send(m.ChunkFetchRequest(b"t" * 16), b"i" * 64)
            await call.end()
            for number in range(4):
                answer, raw = await call.receive(m.FetchBatch)
                assert answer.lengths == [100 + number]
                assert bytes(raw) == bytes([number]) * 5 * MIB
            assert await call.receive(m.FetchBatch) is None


async def test_many_requests_at_once_wait_for_their_turn(site: Site):
    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()
        await trio.lowlevel.checkpoint()
        await exchange.send_message(GREETING)

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with trio.open_nursery() as nursery:
            for _ in range(5 * limits.STREAMS_OPEN):
                nursery.start_soon(say_hello, client)
    assert server.losses == []


@pytest.mark.parametrize("code", ErrorCode)
async def test_an_error_answer_is_raised_with_all_it_says(site: Site, code: ErrorCode):
    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()
        await exchange.send_error(code, "A sentence.", "A hint.")

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            await client.ask("hello", HELLO, m.HelloAnswer)
        error = caught.value
        assert (error.code, error.message, error.hint) == (code, "A sentence.", "A hint.")


async def test_an_error_after_answers_follows_them(site: Site):
    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()
        await exchange.send_message(m.UploadDurable(1))
        raise RemoteProtocolError(ErrorCode.not_found, "Not held: 00ff.")

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        async with client.call("hello") as call:
            await call.send(HELLO)
            await call.end()
            assert (await call.receive(m.UploadDurable))[0] == m.UploadDurable(1)
            with pytest.raises(RemoteProtocolError, match="Not held: 00ff"):
                await call.receive(m.UploadDurable)


async def test_a_sender_learns_of_an_early_error(site: Site):
    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        await exchange.receive_frame()
        await exchange.send_error(ErrorCode.no_space, "The vault is full.")

    async def send_for_ever(call) -> None:
        while True:
            await call.send(BATCH, bytes(MIB))

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("chunk.upload") as call:
            with pytest.raises(RemoteProtocolError, match="The vault is full") as caught:
                await send_for_ever(call)
        assert caught.value.code is ErrorCode.no_space
        async with client.call("chunk.upload") as call:  # the connection is still good
            await call.send(BATCH, bytes(MIB))
            with pytest.raises(RemoteProtocolError, match="The vault is full"):
                await call.receive(m.UploadDurable)
    assert server.losses == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\1\0\0\0" + (16 * 1024 + 1).to_bytes(4, "little") + bytes(4), "header_length 16385"),
        (b"\1\0\0\0" + bytes(4) + (1).to_bytes(4, "little"), "raw_length 1;"),
        (b"\2\0\0\0" + b"\1" + bytes(7) + b"\x80", "kind 2"),
        (b"\7\0\0\0" + bytes(8), "kind 7"),
        (b"\1\0\0\0\5\0\0\0\0\0\0\0abc", "inside a frame"),
        (b"\1\0\0\0\1\0\0\0\0\0\0\0\xc0", "HelloRequest"),
    ],
)
async def test_a_broken_request_is_answered_with_its_fault(site: Site, data: bytes, words: str):
    async def handler(exchange: Exchange) -> None:
        frame = await exchange.receive_frame()
        decode(frame.header, m.HelloRequest)
        await exchange.receive_frame()

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        channel = await client.open_channel("hello")
        await channel.send([data])
        channel.end()
        frame = await channel.take_frame()
        assert words in decode(frame.header, ErrorMessage).message
        channel.close()
    assert server.losses == []


async def test_a_handler_that_breaks_is_answered_and_comes_out(site: Site):
    async def handler(exchange: Exchange) -> None:
        raise ValueError("a bug")

    async def provoke(server: Server) -> None:
        async with server.running(), connected(site, server.port) as client:
            with pytest.raises(RemoteProtocolError) as caught:
                await client.ask("hello", HELLO, m.HelloAnswer)
            assert caught.value.code is ErrorCode.internal
            await trio.sleep_forever()

    for _ in range(20):  # whether the answer is on its way when the connection ends is up to chance
        with pytest.RaisesGroup(ValueError, flatten_subgroups=True, allow_unwrapped=True):
            await provoke(Server(site, handler))


async def test_the_last_words_of_a_peer_are_read_after_a_write_has_failed(site: Site, monkeypatch: pytest.MonkeyPatch):
    asked, failed = trio.Event(), trio.Event()
    write = os.write

    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()
        asked.set()
        await failed.wait()
        await exchange.send_error(ErrorCode.no_space, "the last words")

    async def ask(client: ClientTransport) -> None:
        with pytest.raises(RemoteProtocolError, match="the last words"):
            await client.ask("hello", HELLO, m.HelloAnswer)

    async with Server(site, handler).running() as server, connected(site, server.port) as client:

        def write_or_fail(number: int, data: memoryview) -> int:
            with socket.socket(fileno=os.dup(number)) as end:
                is_clients = end.getpeername()[1] == server.port
            if not is_clients or not asked.is_set():
                return write(number, data)
            failed.set()
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

        monkeypatch.setattr("protocol.tls.os.write", write_or_fail)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client)
            await asked.wait()
            with suppress(ConnectionLost):
                await (await client.open_channel("hello")).send([b"x"])


async def test_a_handler_that_says_nothing_is_answered_for(site: Site):
    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        with pytest.raises(RemoteProtocolError, match="gave no answer"):
            await client.ask("hello", HELLO, m.HelloAnswer)


async def test_a_client_refuses_to_send_what_the_vault_would_refuse(site: Site):
    async def handler(exchange: Exchange) -> None:
        await greet(exchange)

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        call = client.call("chunk.upload")
        with pytest.raises(LocalProtocolError, match="raw_length 16777217"):
            await call.send(BATCH, bytes(16 * MIB + 1))
        with pytest.raises(LocalProtocolError, match="not open"):
            await call.receive(m.UploadDurable)


async def test_an_answer_that_is_too_long_becomes_an_error(site: Site):
    class Long(m.ErrorMessage, frozen=True):
        pass

    async def handler(exchange: Exchange) -> None:
        await exchange.receive_frame()
        await exchange.send_message(Long("x" * limits.ANSWER_HEADER_BYTES_MAX, "", ""))

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            await client.ask("hello", HELLO, m.HelloAnswer)
        assert caught.value.code is ErrorCode.too_large


def test_an_error_message_is_a_message_of_its_own():
    assert decode(encode(ErrorMessage("not_found", "a", "b")), ErrorMessage).code == "not_found"
