"""The store stands still under 32 uploads: status and a cancelled upload answer, and memory stays within the budget."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.transport import ClientTransport, Exchange
from tests.vaultd.server.conftest import Running, say_hello
from vaultd import offload
from vaultd.operations import sign_in
from vaultd.records import Identity, Role
from vaultd.server import dispatch
from vaultd.server.handlers import chunk_upload
from vaultd.store.chunk_store import Appended

MIB = 1024 * 1024
UPLOADS = 32
FRAMES = 3
FRAME_BYTES = 4 * MIB
LEAST_BYTES = 256 * 1024
ACCOUNTS = [bytes([number]) * 32 for number in (1, 2, 3)]


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Uploads without runs or keys: what is checked of a record is not what stands still."""
    begun: list[Exchange] = []
    known = sign_in.sign_in_token

    def sign_in_token(vault: Any, token: bytes) -> Identity | None:
        return Identity(token[:16], token[:16], Role.AGENT, "pc") if token in ACCOUNTS else known(vault, token)

    async def upload(service: Any, session: Any, exchange: Exchange) -> None:
        begun.append(exchange)
        await chunk_upload.upload(service, session, exchange)

    fake = SimpleNamespace(
        UploadBatch=lambda lengths, cids, records: records,
        facts=lambda *_: None,
        verify=lambda _, records: records,
        append=lambda _, records, __: Appended(1, len(records)),
    )
    monkeypatch.setattr(sign_in, "sign_in_token", sign_in_token)
    monkeypatch.setattr(chunk_upload, "operation", fake)
    monkeypatch.setitem(dispatch.STREAMED, "chunk.upload", upload)
    return begun


@pytest.fixture
async def standing(nursery: trio.Nursery) -> AsyncIterator[Event]:
    """The write thread waits, as it does for a disk that does not answer."""
    go_on = Event()
    nursery.start_soon(offload.write, go_on.wait)
    await trio.testing.wait_all_tasks_blocked()
    yield go_on
    go_on.set()


@asynccontextmanager
async def agents(running: Running) -> AsyncIterator[list[ClientTransport]]:
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(running.connect()) for _ in ACCOUNTS]
        for connection, token in zip(connections, ACCOUNTS, strict=True):
            assert (await say_hello(connection, token)).role == "agent"
        yield connections


async def upload(connection: ClientTransport, durable: list[int]) -> None:
    async with connection.call("chunk.upload") as call:
        for number in range(FRAMES):
            await call.send(m.UploadBatch(bytes(16), number, [100], bytes(32)), bytes(FRAME_BYTES))
        await call.end()
        while (answer := await call.receive(m.UploadDurable)) is not None:
            durable.append(answer[0].number)


def kept_bytes(exchanges: list[Exchange]) -> int:
    """What arrived and was not let go, in the transport and in the handlers, of all connections."""
    return sum(connection.http2._untaken_bytes for connection in {one.connection for one in exchanges})


async def test_memory_is_bounded_and_status_and_cancel_answer(
    running: Running, exchanges: list[Exchange], standing: Event
) -> None:
    durable: list[int] = []
    async with agents(running) as connections, running.connect_operator() as operator, trio.open_nursery() as uploads:
        for number in range(UPLOADS - 1):
            uploads.start_soon(upload, connections[number % 3], durable)
        given_up = trio.CancelScope()

        async def upload_until_given_up() -> None:
            with given_up:
                await upload(connections[2], durable)

        uploads.start_soon(upload_until_given_up)
        while len(exchanges) < UPLOADS or kept_bytes(exchanges) < 20 * MIB:
            await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.testing.wait_all_tasks_blocked(0.5)
        budget_bytes = running.service.vault.config.receive_budget_bytes
        assert kept_bytes(exchanges) <= budget_bytes + UPLOADS * LEAST_BYTES
        with trio.fail_after(30):
            await operator.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
            given_up.cancel()
            await connections[2].ask("authority", m.AuthorityRequest(), m.AuthorityAnswer)
        assert durable == []
        standing.set()
    assert sorted(durable) == sorted(list(range(FRAMES)) * (UPLOADS - 1))
