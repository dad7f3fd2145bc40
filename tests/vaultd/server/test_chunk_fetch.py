"""What fetches hold of records that were read stays within one budget of the process."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.errors import ConnectionLost
from protocol.transport import ClientTransport
from tests.vaultd.server.conftest import Running, say_hello
from vaultd.errors import NoSpace
from vaultd.operations import ledger, sign_in
from vaultd.records import Identity, Role
from vaultd.server import dispatch
from vaultd.server.handlers import chunk_fetch
from vaultd.server.request import Reply, Request

MIB = 1024 * 1024
RECORD_BYTES = 2 * MIB
STREAMS = 40
TOKEN = b"t" * 32
SMALL_WINDOW_BYTES = 1000


class Held(bytes):
    """Records that are counted as long as somebody has them."""

    size_bytes = 0

    def __init__(self, _size: int) -> None:
        Held.size_bytes += len(self)

    def __del__(self) -> None:
        Held.size_bytes -= len(self)


class Stream:
    """Gives what it is asked for, as the vault's does: as many as fit, at least one."""

    def fetch(self, ids: list[bytes], bytes_max: int) -> Any:
        number = min(len(ids), max(1, bytes_max // RECORD_BYTES))
        return SimpleNamespace(records=[Held(RECORD_BYTES) for _ in range(number)], keys=[])


@pytest.fixture
def fetching(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """An agent signs in with TOKEN, and every ticket opens every record."""
    identity = Identity(b"a" * 16, b"a" * 16, Role.AGENT, "pc")
    known = sign_in.sign_in_token
    monkeypatch.setattr(
        sign_in, "sign_in_token", lambda vault, token: identity if token == TOKEN else known(vault, token)
    )
    monkeypatch.setattr(chunk_fetch, "open_fetch", lambda *_: Stream())
    return running


async def open_restore(request: Request) -> Reply:
    """Top block and companion are as large as they may be."""
    answer = m.RestoreOpenAnswer(bytes(16), [], bytes(360), b"", bytes(64), 0, [], [100, 100])
    return Reply(answer, [Held(limits.RECORD_BYTES_MAX) for _ in range(2)])


async def begin(connection: ClientTransport) -> Any:
    """A fetch that takes no more than its window."""
    call = connection.call("chunk.fetch")
    await call.send(m.ChunkFetchRequest(b"k" * 16), bytes(limits.ID_BYTES) * limits.FETCH_IDS_MAX)
    await call.end()
    return call


async def test_many_fetches_that_take_nothing_hold_no_more_than_the_budget(
    fetching: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BULK_WINDOW_BYTES_MAX", SMALL_WINDOW_BYTES)
    fetches = fetching.service.fetches
    async with fetching.connect() as connection:
        await say_hello(connection, TOKEN)
        for _ in range(STREAMS):
            await begin(connection)
        while len(fetches._rooms) + len(fetches._waiting) < STREAMS:
            await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.testing.wait_all_tasks_blocked(0.5)
        part_bytes = limits.FETCH_BUDGET_BYTES // 2  # of an account
        assert fetches.held_bytes > part_bytes - limits.RECORD_BYTES_MAX
        assert Held.size_bytes <= fetches.held_bytes <= part_bytes
        async with fetching.connect_operator() as operator:
            await operator.ask("vault.status", m.VaultStatusRequest(), m.VaultStatus)
    while Held.size_bytes or fetches.held_bytes:
        await trio.testing.wait_all_tasks_blocked(0.05)


async def test_so_do_answers_that_open_restores(fetching: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispatch.ASKED, "restore.open", open_restore)
    fetches = fetching.service.fetches
    async with fetching.connect() as connection:
        await say_hello(connection, TOKEN)
        for _ in range(STREAMS):
            call = connection.call("restore.open")
            await call.send(m.RestoreOpenRequest(None, "home", bytes(16), bytes(32), 0))
            await call.end()
        while len(fetches._rooms) + len(fetches._waiting) < STREAMS:
            await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.testing.wait_all_tasks_blocked(0.5)
        assert 0 < Held.size_bytes <= fetches.held_bytes <= limits.FETCH_BUDGET_BYTES
    while Held.size_bytes or fetches.held_bytes:
        await trio.testing.wait_all_tasks_blocked(0.05)


async def test_a_fetch_that_is_given_up_is_reset_and_holds_nothing_more(
    fetching: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is queued of it would be outside of the budget, and a clean end would look like a whole answer."""
    monkeypatch.setattr(limits, "BULK_WINDOW_BYTES_MAX", SMALL_WINDOW_BYTES)
    fetches = fetching.service.fetches
    async with fetching.connect() as connection:
        await say_hello(connection, TOKEN)
        call = await begin(connection)
        while not Held.size_bytes:
            await trio.testing.wait_all_tasks_blocked(0.05)
        (room,) = fetches._rooms
        room.scope.cancel()  # as the budget does when others wait
        while Held.size_bytes or fetches.held_bytes:
            await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(ConnectionLost, match="reset"):
            await call.receive(m.FetchBatch)
        await begin(connection)  # the connection goes on
        while not Held.size_bytes:
            await trio.testing.wait_all_tasks_blocked(0.05)


class Losing:
    """A stream that gives nothing of what it is asked for."""

    def __init__(self, *losses: str) -> None:
        self.losses = losses

    def fetch(self, ids: list[bytes], bytes_max: int) -> Any:
        return SimpleNamespace(records=list(self.losses), keys=[])


@pytest.mark.parametrize(
    ("losses", "writes"), [(("missing", "offline"), 0), (("missing", "damaged"), 1)], ids=["absent", "damaged"]
)
async def test_damage_is_durable_before_a_restore_is_told_of_it(
    fetching: Running, monkeypatch: pytest.MonkeyPatch, losses: tuple[str, ...], writes: int
) -> None:
    """Without a commit a kill would forget it, and so would the next ten thousand."""
    written: list[object] = []
    monkeypatch.setattr(chunk_fetch, "open_fetch", lambda *_: Losing(*losses))
    monkeypatch.setattr(ledger, "write", written.append)
    async with fetching.connect() as connection:
        await say_hello(connection, TOKEN)
        call = connection.call("chunk.fetch")
        await call.send(m.ChunkFetchRequest(b"k" * 16), bytes(limits.ID_BYTES) * 2)
        await call.end()
        answer, _ = await call.receive(m.FetchBatch)
        assert written == [fetching.service.vault] * writes
        assert answer.lost == list(losses)


async def test_damage_that_cannot_be_noted_ends_no_restore(fetching: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(vault: object) -> None:
        raise NoSpace("the vault is full", "free space there")

    monkeypatch.setattr(chunk_fetch, "open_fetch", lambda *_: Losing("damaged"))
    monkeypatch.setattr(ledger, "write", refused)
    async with fetching.connect() as connection:
        await say_hello(connection, TOKEN)
        call = connection.call("chunk.fetch")
        await call.send(m.ChunkFetchRequest(b"k" * 16), bytes(limits.ID_BYTES))
        await call.end()
        answer, _ = await call.receive(m.FetchBatch)
        assert answer.lost == ["damaged"]
    assert not fetching.service.stop.is_set()


async def test_lists_have_room_in_the_budget_of_fetches(fetching: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many bytes as the answer has, as soon as that is known."""
    standing, rooms = trio.Event(), []

    async def list_jobs(request: Request) -> m.AgentJobsAnswer:
        rooms.append([room.size_bytes for room in fetching.service.fetches._rooms])
        await standing.wait()
        return m.AgentJobsAnswer([])

    monkeypatch.setitem(dispatch.ASKED, "agent.jobs", list_jobs)
    async with fetching.connect() as connection, trio.open_nursery() as nursery:
        await say_hello(connection, TOKEN)
        for _ in range(20):
            nursery.start_soon(connection.ask, "agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
        while len(rooms) < 4:
            await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert rooms[-1] == [limits.ANSWER_HEADER_BYTES_MAX] * 4
        standing.set()
    assert len(rooms) == 20
    assert fetching.service.fetches.held_bytes == 0
