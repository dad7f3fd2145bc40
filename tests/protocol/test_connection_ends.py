"""How a connection over TLS begins and ends: the wrong server, silence, resets, and a side that goes away."""

from contextlib import suppress

import pytest
import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.call import Call
from protocol.errors import ConnectionLost, RemoteProtocolError
from protocol.exchange import Exchange
from protocol.transport import client_tls_context, open_connection
from tests.protocol.support.certificates import Site, make_site
from tests.protocol.support.loopback import HELLO, Server, connected, greet, say_hello

MIB = 1024 * 1024


async def test_a_reset_cancels_the_handler(site: Site):
    started, cancelled = trio.Event(), trio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("agent.jobs") as call:
            await call.send(m.AgentJobsRequest())
            await started.wait()
        await cancelled.wait()
        assert server.losses == []


async def test_the_end_of_the_connection_cancels_handlers_and_fails_calls(site: Site):
    started, cancelled = trio.Event(), trio.Event()

    async def handler(exchange: Exchange) -> None:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with Server(site, handler).running() as server:
        async with connected(site, server.port) as client:
            call = client.call("hello")
            await call.send(HELLO)
            await started.wait()
            await client.aclose()
            with pytest.raises(ConnectionLost):
                await call.receive(m.HelloAnswer)
            with pytest.raises(ConnectionLost):
                await call.send(HELLO)
            with pytest.raises(ConnectionLost):
                await say_hello(client)
            await call.aclose()
        await cancelled.wait()


@pytest.mark.parametrize("first", ["send", "receive"])
async def test_a_refusal_is_told_to_who_sends_and_to_who_receives(site: Site, first: str):
    """Two tasks of an upload: whichever meets the error first takes its frame, and the other hears the same."""

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        await exchange.receive_frame()
        await exchange.send_error("no_space", "the vault has no room left", "make room")
        await exchange.finish()

    batch = m.UploadBatch(b"r" * 16, 0, [MIB], b"c" * 32)

    async def send_until_refused(call: Call) -> None:
        while True:
            await call.send(batch, bytes(MIB))

    async with Server(site, handler).running() as server, connected(site, server.port, agent=True) as client:
        await say_hello(client)
        async with client.call("chunk.upload") as call:
            await call.send(batch, bytes(MIB))
            order = [send_until_refused(call), call.receive(m.UploadDurable)]
            for task in order if first == "send" else reversed(order):
                with pytest.raises(RemoteProtocolError, match="no room left") as refused, trio.fail_after(20):
                    await task
                assert (refused.value.code, refused.value.hint) == ("no_space", "make room")


async def test_a_server_that_goes_away_fails_calls(site: Site):
    started = trio.Event()

    async def handler(exchange: Exchange) -> None:
        started.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        port = await nursery.start(run_until_cancelled, Server(site, handler), scope)
        async with connected(site, port) as client:
            async with trio.open_nursery() as inner:
                inner.start_soon(expect_loss, client)
                await started.wait()
                scope.cancel()


async def run_until_cancelled(server: Server, scope: trio.CancelScope, *, task_status) -> None:
    with scope:
        async with server.running():
            task_status.started(server.port)
            await trio.sleep_forever()


async def expect_loss(client) -> None:
    with pytest.raises(ConnectionLost):
        await say_hello(client)


async def test_a_server_of_another_site_is_refused(site: Site, tmp_path):
    other = make_site(tmp_path)

    async def handler(exchange: Exchange) -> None: ...

    async with Server(site, handler).running() as server, trio.open_nursery() as nursery:
        with pytest.raises(ConnectionLost, match="handshake failed") as caught:
            await open_connection("127.0.0.1", server.port, client_tls_context(other.ca_pem), nursery)
        assert "authority" in caught.value.hint
        await server.ended.wait()
    assert len(server.losses) == 1


async def test_a_server_of_another_name_is_refused(tmp_path):
    site = make_site(tmp_path, addresses=("127.0.0.2",))

    async def handler(exchange: Exchange) -> None: ...

    async with Server(site, handler).running() as server, trio.open_nursery() as nursery:
        with pytest.raises(ConnectionLost, match="127.0.0.1"):
            await open_connection("127.0.0.1", server.port, client_tls_context(site.ca_pem), nursery)


async def test_nobody_at_the_address_is_said_plainly(site: Site):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    async with trio.open_nursery() as nursery:
        with pytest.raises(ConnectionLost, match=f"127.0.0.1 port {port} cannot be reached"):
            await open_connection("127.0.0.1", port, client_tls_context(site.ca_pem), nursery)


async def test_a_client_without_tls_is_turned_away(site: Site):
    async def handler(exchange: Exchange) -> None: ...

    async with Server(site, handler).running() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await server.ended.wait()
        await stream.aclose()
    assert "handshake failed" in str(server.losses[0])


async def test_a_client_that_says_nothing_is_turned_away(site: Site, mock_clock):
    async def handler(exchange: Exchange) -> None: ...

    async with Server(site, handler).running() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(limits.HANDSHAKE_SECONDS + 1)
        await server.ended.wait()
        await stream.aclose()
    assert "handshake failed" in str(server.losses[0])


async def test_a_client_that_never_asks_is_turned_away(site: Site, mock_clock):
    async def handler(exchange: Exchange) -> None: ...

    async with Server(site, handler).running() as server, connected(site, server.port):
        await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(limits.FIRST_REQUEST_SECONDS + 1)
        await server.ended.wait()
    assert "the peer" in str(server.losses[0])


async def test_a_client_that_reads_nothing_ends_its_connection(site: Site, mock_clock):
    """The answer is larger than window and socket buffers; the client's program takes none of it."""
    answering = trio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        await exchange.receive_frame()
        answering.set()
        for _ in range(4):
            await exchange.send_message(m.FetchBatch([], [], []), bytes(16 * MIB))

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("chunk.fetch") as call:
            await call.send(m.ChunkFetchRequest(b"t" * 16))
            await answering.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
            mock_clock.jump(limits.WRITE_SECONDS + 1)
            await server.ended.wait()
    assert "takes no more" in str(server.losses[0])


async def test_what_else_is_written_does_not_extend_the_time_of_an_answer(site: Site, mock_clock):
    """One answer stands still while others on the same connection come and go."""
    answering = trio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        await exchange.receive_frame()
        if exchange.method != "chunk.fetch":
            return await exchange.send_error("not_found", "There is nothing.")
        answering.set()
        for _ in range(2):
            await exchange.send_message(m.FetchBatch([], [], []), bytes(16 * MIB))
        await exchange.wait_sent()

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with client.call("chunk.fetch") as call:
            await call.send(m.ChunkFetchRequest(b"t" * 16))
            await answering.wait()
            for _ in range(2):
                await trio.testing.wait_all_tasks_blocked(0.05)
                mock_clock.jump(limits.WRITE_SECONDS / 2 + 1)
                with suppress(RemoteProtocolError):
                    await client.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
            await trio.testing.wait_all_tasks_blocked(0.5)
            assert server.ended.is_set()
    assert "takes no more" in str(server.losses[0])
