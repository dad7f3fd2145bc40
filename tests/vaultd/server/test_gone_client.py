"""A write that fails when its client has gone: the daemon stops all the same, and the log has the cause."""

import errno
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec
import pytest
import structlog
import trio

from protocol.messages import AuthorityAnswer, AuthorityRequest, VaultStatus, VaultStatusRequest
from tests.vaultd.server.conftest import Running
from vaultd import offload
from vaultd.errors import BadRequest, NoSpace
from vaultd.operations.store_errors import translated
from vaultd.server import dispatch
from vaultd.server.request import Request

WAIT_SECONDS = 20
Handler = Callable[[Request], Awaitable[msgspec.Struct]]
Lines = Sequence[MutableMapping[str, Any]]


class Disk:
    """Hangs until it is let go, then fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._hangs, self._may_fail = threading.Event(), threading.Event()

    def write(self) -> None:
        self._hangs.set()
        assert self._may_fail.wait(WAIT_SECONDS)
        raise self._error

    def fail(self) -> None:
        self._may_fail.set()

    async def until_it_hangs(self) -> None:
        assert await trio.to_thread.run_sync(self._hangs.wait, WAIT_SECONDS)


async def ask_and_go(running: Running, monkeypatch: pytest.MonkeyPatch, disk: Disk, handler: Handler) -> Lines:
    """The client goes while the disk hangs; the vault knows that when it fails. What the log says of it."""
    gone, ended = trio.Event(), trio.Event()
    answer = dispatch.answer

    async def watch() -> None:
        try:
            await trio.sleep_forever()
        finally:
            gone.set()

    async def handled(service: Any, session: Any, exchange: Any) -> None:
        if exchange.method != "vault.status":
            await answer(service, session, exchange)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                await answer(service, session, exchange)
            finally:
                ended.set()

    async def ask() -> None:
        async with running.connect_operator() as connection:
            await connection.ask("vault.status", VaultStatusRequest(), VaultStatus)

    monkeypatch.setattr(dispatch, "answer", handled)
    monkeypatch.setitem(dispatch.ASKED, "vault.status", handler)
    with structlog.testing.capture_logs() as lines, trio.fail_after(WAIT_SECONDS):
        async with trio.open_nursery() as client:
            client.start_soon(ask)
            await disk.until_it_hangs()
            client.cancel_scope.cancel()
        await gone.wait()
        disk.fail()
        await ended.wait()
    return lines


def alone(write: Callable[[], None]) -> Handler:
    async def handler(_request: Request) -> msgspec.Struct:
        await offload.write(write)
        raise AssertionError

    return handler


def beside_another_task(write: Callable[[], None]) -> Handler:
    """As an upload, whose other tasks wait for frames and commits."""

    async def handler(_request: Request) -> msgspec.Struct:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(offload.write, write)
            nursery.start_soon(trio.sleep_forever)
        raise AssertionError

    return handler


def beside_a_bad_frame(write: Callable[[], None]) -> Handler:
    """Two tasks fail at once, and the one that stopped the store is not the first."""

    async def refuse() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise BadRequest("UploadBatch has number 1 after 2")

    async def handler(_request: Request) -> msgspec.Struct:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            nursery.start_soon(offload.write, write)
        raise AssertionError

    return handler


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("a fault of the program")])
@pytest.mark.parametrize("how", [alone, beside_another_task, beside_a_bad_frame])
async def test_a_write_that_fails_after_its_client_has_gone_stops_the_daemon(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[Callable[[], None]], Handler],
    error: Exception,
) -> None:
    service = running.service
    disk = Disk(error)

    def write() -> None:
        with translated(), service.vault.store._guarded():
            disk.write()

    lines = await ask_and_go(running, monkeypatch, disk, how(write))
    assert service.vault.store.is_broken
    assert service.store_stopped.is_set()
    assert service.stop.is_set()
    (stopped,) = [line for line in lines if line["event"] == "store stopped"]
    assert str(error.args[-1]) in stopped["problem"]


@pytest.mark.parametrize("how", [alone, beside_another_task])
async def test_what_goes_wrong_is_in_the_log_also_where_the_client_has_gone(
    running: Running, monkeypatch: pytest.MonkeyPatch, how: Callable[[Callable[[], None]], Handler]
) -> None:
    error = NoSpace("the vault has no room left")
    error.__cause__ = OSError("/srv/b has no room")
    disk = Disk(error)
    lines = await ask_and_go(running, monkeypatch, disk, how(disk.write))
    assert not running.service.stop.is_set()
    (request,) = [line for line in lines if line.get("method") == "vault.status"]
    assert (request["event"], request["code"]) == ("request", "no_space")
    assert request["problem"] == "NoSpace: /srv/b has no room"
    assert "no room" in {line["event"] for line in lines}


async def test_a_request_that_is_given_up_does_not_end_its_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = trio.Event(), trio.Event()

    async def fail_at_its_end() -> None:
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            raise BadRequest("UploadBatch has number 1 after 2")

    async def handler(_request: Request) -> msgspec.Struct:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail_at_its_end)
                nursery.start_soon(trio.sleep_forever)
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setitem(dispatch.ASKED, "vault.status", handler)
    with trio.fail_after(WAIT_SECONDS):
        async with running.connect_operator() as connection, trio.open_nursery() as client:
            client.start_soon(connection.ask, "vault.status", VaultStatusRequest(), VaultStatus)
            await begun.wait()
            client.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await ended.wait()
                await connection.ask("authority", AuthorityRequest(), AuthorityAnswer)
