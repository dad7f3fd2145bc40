"""A service that waits for work: told at once, told once, told nothing of others; the vault holds no thread for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.transport import ClientTransport
from tests.vaultd.operations.ordering import sealed_order
from tests.vaultd.operations.sealing import agent_fingerprint
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.server.conftest import Running, say_hello
from vaultd import offload
from vaultd.operations import sign_in, work
from vaultd.records import Identity
from vaultd.server import work_book
from vaultd.server.session import Session
from vaultd.server.work_book import WorkBook

PERSON, AGENT, SIBLING = (name * 32 for name in (b"p", b"a", b"s"))


@dataclass
class Waiting:
    running: Running
    site: Site
    backed_up: BackedUp
    administrator: Identity

    @property
    def job_id(self) -> bytes:
        return self.backed_up.sealer.job_id

    @asynccontextmanager
    async def connect(self, token: bytes) -> AsyncIterator[ClientTransport]:
        async with self.running.connect() as connection:
            await say_hello(connection, token)
            yield connection

    async def person(self, method: str) -> None:
        async with self.connect(PERSON) as connection:
            if method == "run":
                await connection.ask("job.run", m.JobRunRequest("laptop", "home"), m.JobRunAnswer)
            else:
                await connection.ask("job.cancel", m.JobCancelRequest("laptop", "home"), m.JobCancelAnswer)


@pytest.fixture
def waiting(running: Running, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    vault = running.service.vault
    site = Site(vault.config, vault.clock, running.created, vault)  # type: ignore[arg-type]
    known = sign_in.sign_in_token
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    identities = {
        PERSON: administrator, AGENT: agent.identity, SIBLING: site.agent(administrator, "other").identity,
    }  # fmt: skip
    monkeypatch.setattr(sign_in, "sign_in_token", lambda vault, token: identities.get(token) or known(vault, token))
    return Waiting(running, site, backed_up, administrator)


async def ask(connection: ClientTransport, *, all: bool) -> m.AgentWorkAnswer:
    answer, _ = await connection.ask("agent.work", m.AgentWorkRequest(all), m.AgentWorkAnswer)
    return answer


async def told(connection: ClientTransport, then: Callable[[], Awaitable[None]]) -> m.AgentWorkAnswer:
    """What a request that waits is told after something was done."""
    answers: list[m.AgentWorkAnswer] = []

    async def wait() -> None:
        answers.append(await ask(connection, all=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not answers
        await then()
    return answers[0]


async def test_a_service_that_waits_is_told_at_once(waiting: Waiting) -> None:
    async with waiting.connect(AGENT) as agent:
        assert await ask(agent, all=True) == m.AgentWorkAnswer([], [], [])
        assert await told(agent, lambda: waiting.person("run")) == m.AgentWorkAnswer([waiting.job_id], [], [])
        assert await told(agent, lambda: waiting.person("cancel")) == m.AgentWorkAnswer([], [waiting.job_id], [])


async def test_a_new_connection_learns_what_was_asked_for_before(waiting: Waiting) -> None:
    await waiting.person("run")
    for _ in range(2):
        async with waiting.connect(AGENT) as agent:
            assert await ask(agent, all=True) == m.AgentWorkAnswer([waiting.job_id], [], [])
    waiting.site.begin(waiting.backed_up)
    async with waiting.connect(AGENT) as agent:
        assert await ask(agent, all=True) == m.AgentWorkAnswer([], [], [])


async def test_what_comes_between_two_requests_is_kept(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_book, "WORK_SECONDS", 0.0)
    async with waiting.connect(AGENT) as agent:
        await ask(agent, all=True)
        await waiting.person("run")
        assert await ask(agent, all=False) == m.AgentWorkAnswer([waiting.job_id], [], [])
        await waiting.person("cancel")
        await waiting.person("run")
        assert await ask(agent, all=False) == m.AgentWorkAnswer([waiting.job_id], [waiting.job_id], [])


async def test_another_computer_of_the_account_is_told_nothing(waiting: Waiting) -> None:
    async with waiting.connect(SIBLING) as sibling, waiting.connect(AGENT) as agent:
        await ask(sibling, all=True)
        await ask(agent, all=True)
        assert await told(agent, lambda: waiting.person("run")) == m.AgentWorkAnswer([waiting.job_id], [], [])
        assert await ask(sibling, all=True) == m.AgentWorkAnswer([], [], [])
        boxes = waiting.running.service.work._by_computer
        assert [box.is_empty for held in boxes.values() for box in held.values()] == [True, True]


async def test_nothing_for_some_minutes_is_an_empty_answer(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_book, "WORK_SECONDS", 0.0)
    async with waiting.connect(AGENT) as agent:
        assert await ask(agent, all=False) == m.AgentWorkAnswer([], [], [])


async def test_a_later_wait_of_a_connection_ends_the_one_before(waiting: Waiting) -> None:
    async with waiting.connect(AGENT) as agent:

        async def again() -> None:
            assert await told(agent, lambda: waiting.person("run")) == m.AgentWorkAnswer([waiting.job_id], [], [])

        assert await told(agent, again) == m.AgentWorkAnswer([], [], [])


async def test_who_waits_holds_no_thread_and_no_box_without_a_connection(waiting: Waiting) -> None:
    service = waiting.running.service
    async with waiting.connect(AGENT) as agent, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: ask(agent, all=False))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(service.work) == 1
        assert [limiter.threads_busy for limiter in (offload._read_limit, offload._write_limit)] == [0, 0]
        nursery.cancel_scope.cancel()
    while len(service.work):
        await trio.testing.wait_all_tasks_blocked()


async def test_a_stop_of_the_vault_does_not_wait_for_who_waits(waiting: Waiting) -> None:
    async with waiting.connect(AGENT) as agent:

        async def stop() -> None:
            waiting.running.listener.stop()

        assert await told(agent, stop) == m.AgentWorkAnswer([], [], [])
        with pytest.raises(RemoteProtocolError) as caught:
            await ask(agent, all=False)
        assert caught.value.code is ErrorCode.unavailable


async def test_a_computer_that_is_gone_is_told_so(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultd.operations.access.read_computer", lambda *_: None)
    async with waiting.connect(AGENT) as agent:
        with pytest.raises(RemoteProtocolError, match="not registered any more") as caught:
            await ask(agent, all=True)
        assert caught.value.code is ErrorCode.not_signed_in


async def test_a_box_holds_each_job_once(waiting: Waiting) -> None:
    book, session = WorkBook(), Session("192.0.2.1")
    session.greet(waiting.backed_up.agent.identity)
    book.open(session)
    computer_id = waiting.backed_up.agent.identity.computer_id
    for _ in range(100):
        book.ask_run(computer_id, waiting.job_id)
        book.cancel(computer_id, waiting.job_id)
    taken = book.take(session)
    assert (list(taken.run), list(taken.cancel)) == ([], [waiting.job_id])
    assert book.take(session).is_empty
    assert work.asked_jobs(waiting.site.vault, waiting.backed_up.agent.identity) == []


@dataclass
class Ordering:
    """What a person asks for in the middle of a wait."""

    waiting: Waiting
    message: bytes = b""
    answers: list[m.RestoreOrderAnswer] = field(default_factory=list)

    @property
    def order_id(self) -> bytes:
        return self.message[56:72]

    async def give(self) -> None:
        self.message = message_of(self.waiting)
        request = m.RestoreOrderRequest("laptop", "home", None, self.message)
        async with self.waiting.connect(PERSON) as connection:
            answer, _ = await connection.ask("restore.order", request, m.RestoreOrderAnswer)
        self.answers.append(answer)

    async def cancel(self) -> None:
        async with self.waiting.connect(PERSON) as connection:
            await connection.ask("restore.cancel", m.RestoreCancelRequest(1), m.RestoreCancelAnswer)

    async def state(self) -> m.RestoreStateAnswer:
        async with self.waiting.connect(PERSON) as connection:
            answer, _ = await connection.ask("restore.state", m.RestoreStateRequest(1), m.RestoreStateAnswer)
            return answer


def message_of(waiting: Waiting) -> bytes:
    agent = waiting.backed_up.agent
    ids = (agent.identity.account_id, agent.identity.identity_id, waiting.job_id)
    return sealed_order(ids, agent_fingerprint(agent.spki, agent.sealing_key))


async def test_an_ordered_restore_is_told_taken_followed_and_ended(waiting: Waiting) -> None:
    ordering = Ordering(waiting)
    async with waiting.connect(AGENT) as agent:
        assert await ask(agent, all=True) == m.AgentWorkAnswer([], [], [])
        answer = await told(agent, ordering.give)
        order_id = ordering.order_id
        assert answer == m.AgentWorkAnswer([], [], [order_id])
        assert ordering.answers[0].is_connected
        taken, _ = await agent.ask("restore.take", m.RestoreTakeRequest(order_id), m.RestoreTakeAnswer)
        assert (taken.job_id, taken.message) == (waiting.job_id, ordering.message)
        progress = m.RestoreProgressRequest(order_id, 1, 20, 300)
        await agent.ask("restore.progress", progress, m.RestoreProgressAnswer)
        running = await ordering.state()
        assert running.progress is not None
        assert (running.order.state, running.progress.bytes, running.progress.bytes_total) == ("running", 20, 300)
        assert waiting.running.service.restores.told_jobs() == {order_id}
        end = m.RestoreEndRequest(order_id, "warnings", 3, "", 4, 50, 6, 7)
        await agent.ask("restore.end", end, m.RestoreEndAnswer)
        ended = await ordering.state()
        assert (ended.order.state, ended.order.exit_code, ended.progress) == ("warnings", 3, None)
        assert (ended.order.files, ended.order.bytes, ended.order.left, ended.order.warnings) == (4, 50, 6, 7)
        assert waiting.running.service.restores.told_jobs() == set()
        with pytest.raises(RemoteProtocolError, match="does not exist"):
            await agent.ask("restore.progress", progress, m.RestoreProgressAnswer)


async def test_a_cancelled_restore_is_told_to_its_agent(waiting: Waiting) -> None:
    ordering = Ordering(waiting)
    async with waiting.connect(AGENT) as agent:
        await ask(agent, all=True)
        await told(agent, ordering.give)
        assert await told(agent, ordering.cancel) == m.AgentWorkAnswer([], [ordering.order_id], [])
        assert await ask(agent, all=True) == m.AgentWorkAnswer([], [], [])


async def test_an_order_says_that_no_service_is_connected_and_waits_for_one(waiting: Waiting) -> None:
    ordering = Ordering(waiting)
    await ordering.give()
    assert (ordering.answers[0].is_connected, (await ordering.state()).is_connected) == (False, False)
    for _ in range(2):
        async with waiting.connect(AGENT) as agent:
            assert await ask(agent, all=True) == m.AgentWorkAnswer([], [], [ordering.order_id])
            assert (await ordering.state()).is_connected


async def test_another_computer_is_told_of_no_restore(waiting: Waiting) -> None:
    ordering = Ordering(waiting)
    await ordering.give()
    async with waiting.connect(SIBLING) as sibling:
        assert await ask(sibling, all=True) == m.AgentWorkAnswer([], [], [])
        with pytest.raises(RemoteProtocolError, match="does not exist"):
            await sibling.ask("restore.take", m.RestoreTakeRequest(ordering.order_id), m.RestoreTakeAnswer)


async def test_what_an_agent_told_of_a_restore_goes_with_its_connection(waiting: Waiting) -> None:
    ordering, service = Ordering(waiting), waiting.running.service
    await ordering.give()
    async with waiting.connect(AGENT) as agent:
        await agent.ask("restore.take", m.RestoreTakeRequest(ordering.order_id), m.RestoreTakeAnswer)
        told_now = m.RestoreProgressRequest(ordering.order_id, 1, 20)
        await agent.ask("restore.progress", told_now, m.RestoreProgressAnswer)
        assert len(service.restores) == 1
    while len(service.restores):
        await trio.testing.wait_all_tasks_blocked()
    assert (await ordering.state()).progress is None
