"""Limits of connections, and the order of stopping."""

from dataclasses import replace

import msgspec
import pytest
import trio

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.vaultd.server.conftest import Running, say_hello
from vaultd import metrics
from vaultd.errors import Conflict
from vaultd.server import dispatch
from vaultd.server.listener import Listener
from vaultd.server.request import Request


class SlowStatus:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self.go_on = trio.Event()

    async def __call__(self, _request: Request) -> msgspec.Struct:
        self.began.set()
        await self.go_on.wait()
        return m.AccountListAnswer([])


async def test_a_stop_lets_running_requests_end_and_begins_no_others(
    running: Running, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    slow = SlowStatus()
    monkeypatch.setitem(dispatch.ASKED, "account.list", slow)
    answers: list[m.AccountListAnswer] = []
    async with running.connect_operator() as connection:

        async def ask() -> None:
            answers.append((await connection.ask("account.list", m.AccountListRequest(), m.AccountListAnswer))[0])

        async with trio.open_nursery() as asking:
            asking.start_soon(ask)
            await slow.began.wait()
            running.listener.stop()
            with pytest.raises(RemoteProtocolError) as caught:
                await connection.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
            assert caught.value.code is ErrorCode.unavailable
            slow.go_on.set()
        assert answers == [m.AccountListAnswer([])]
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", running.port)


async def test_a_vault_that_stops_after_an_error_says_so_to_new_requests(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection of an agent hears that the store stopped; another one of its must not hear less, and earlier."""
    slow = SlowStatus()
    monkeypatch.setitem(dispatch.ASKED, "account.list", slow)
    async with running.connect_operator() as connection, trio.open_nursery() as asking:
        asking.start_soon(connection.ask, "account.list", m.AccountListRequest(), m.AccountListAnswer)
        await slow.began.wait()
        monkeypatch.setattr(running.service.group, "_error", OSError("the disk is gone"))
        running.listener.stop()
        with pytest.raises(RemoteProtocolError, match="the store stopped after an error"):
            await connection.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
        slow.go_on.set()


async def test_connections_above_the_limit_are_closed_at_once(running: Running) -> None:
    refused_before = metrics.CONNECTIONS_REFUSED._value.get()
    async with running.connect() as one, running.connect() as two, running.connect() as three:
        async with running.connect() as four:
            for connection in (one, two, three, four):
                await say_hello(connection)
            with pytest.raises(ConnectionLost):
                async with running.connect():
                    pass
        assert metrics.CONNECTIONS_REFUSED._value.get() == refused_before + 1
        while len(running.service.sessions) > 3:
            await trio.lowlevel.checkpoint()
        async with running.connect() as four:
            assert (await say_hello(four)).role == "open"


async def test_a_client_that_speaks_something_else_ends_only_itself(running: Running) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        while await stream.receive_some():
            pass
    async with running.connect() as connection:
        assert (await say_hello(connection)).role == "open"


@pytest.mark.parametrize(
    ("listen", "reason", "hint"),
    [
        ("host.invalid:8443", "cannot be listened on: ", "names an address of this machine"),
        ("198.51.100.1:8443", "cannot be listened on: Cannot assign requested address", "an address of this machine"),
        ("127.0.0.1:PORT", "cannot be listened on: Address already in use", "another program has this port"),
    ],
)
async def test_why_an_address_cannot_be_listened_on(running: Running, listen: str, reason: str, hint: str) -> None:
    config = replace(running.listener._config, listen=listen.replace("PORT", str(running.port)))
    with pytest.raises(Conflict) as caught:
        await Listener(running.listener._service, config, running.listener._context).open()
    assert reason in caught.value.message
    assert "Errno" not in caught.value.message
    assert hint in caught.value.hint
