"""Work in threads is shared by account: the many requests of one do not stand before the one of another."""

import os
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import pytest
import trio
import trio.testing

from protocol import messages as m
from tests.vaultd.server.conftest import Running, say_hello
from vaultd import offload
from vaultd.operations import sign_in
from vaultd.records import Identity, Role
from vaultd.server import dispatch
from vaultd.server.request import Request

TOKEN = os.urandom(32)
REQUESTS = 20


@pytest.mark.parametrize("kind", [offload.read, offload.compute])
async def test_an_account_has_two_calls_in_threads_at_once(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Awaitable[object]]
) -> None:
    administrator, known = Identity(b"a" * 16, b"a" * 16, Role.ADMINISTRATOR, "ann"), sign_in.sign_in_token
    monkeypatch.setattr(
        sign_in, "sign_in_token", lambda vault, token: administrator if token == TOKEN else known(vault, token)
    )
    begun, standing = [], Event()

    def stand() -> None:
        begun.append(None)
        standing.wait()

    async def list_computers(request: Request) -> m.ComputerListAnswer:
        await kind(stand)
        return m.ComputerListAnswer([])

    monkeypatch.setitem(dispatch.ASKED, "computer.list", list_computers)
    monkeypatch.setattr(offload, "_compute_limit", offload.Limit(offload.READ_THREADS))
    try:
        async with running.connect() as one, running.connect() as two, trio.open_nursery() as nursery:
            for connection in (one, two):
                await say_hello(connection, TOKEN)
                for _ in range(REQUESTS // 2):
                    nursery.start_soon(connection.ask, "computer.list", m.ComputerListRequest(), m.ComputerListAnswer)
            while len(begun) < 2:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert len(begun) == 2
            async with running.connect_operator() as operator:
                with trio.fail_after(30):
                    await operator.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
            standing.set()
        assert len(begun) == REQUESTS
    finally:
        standing.set()


@pytest.mark.parametrize("kind", [offload.write, offload.walk])
async def test_an_account_waits_with_one_write_and_one_walk(kind: Callable[..., Awaitable[object]]) -> None:
    """Who comes later than the many of another account goes before all but the one that began.

    All but one thread stand until the end: two at work would note their calls in any order.
    """
    order: list[bytes] = []
    begun, standing, ended = trio.Event(), Event(), Event()

    def stand() -> None:
        trio.from_thread.run_sync(begun.set)
        standing.wait()

    async def work(account: bytes) -> None:
        offload.work_for(account)
        await kind(order.append, account)

    async with trio.open_nursery() as others:
        if kind is offload.walk:
            others.start_soon(kind, ended.wait)
            await trio.testing.wait_all_tasks_blocked()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kind, stand)
                await begun.wait()
                for account in [b"a"] * REQUESTS + [b"b"]:
                    nursery.start_soon(work, account)
                    await trio.testing.wait_all_tasks_blocked()
                standing.set()
        finally:
            ended.set()
    assert order.index(b"b") <= 1


async def test_walks_keep_no_read_waiting() -> None:
    standing = Event()
    async with trio.open_nursery() as nursery:
        for _ in range(2 * offload.READ_THREADS):
            nursery.start_soon(offload.walk, standing.wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(30):
                await offload.read(int)
        finally:
            standing.set()


async def test_where_there_is_room_no_call_waits_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of a call to its thread: of an account, and of the daemon itself."""
    asked: list[object] = []

    async def in_thread(function: Callable[..., object], *_: object, limiter: Any) -> None:
        with trio.testing.assert_no_checkpoints():
            await limiter.acquire_on_behalf_of(function)
        asked.append(function)
        limiter.release_on_behalf_of(function)

    monkeypatch.setattr("trio.to_thread.run_sync", in_thread)
    for account in (b"", b"a" * 16):
        if account:
            offload.work_for(account)
        for kind in (offload.write, offload.read, offload.walk, offload.compute, offload.sign_in):
            with trio.testing.assert_no_checkpoints():
                await kind(int)
    assert len(asked) == 10
    assert offload._write_limit.threads_busy == 0


async def test_a_call_that_fails_gives_its_place_back() -> None:
    for _ in range(2 * offload.READ_THREADS):
        with pytest.raises(ZeroDivisionError):
            await offload.read(divmod, 1, 0)
    assert offload._read_limit.threads_busy == 0
