"""Requests that an agent sends without waiting: the vault takes each after the one that it follows, in their order.

Handlers begin in any order; so each conversation is had many times.
"""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.transport import ClientTransport
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_safesets import stored_leaf
from tests.vaultd.server.conftest import Running, say_hello
from vaultd.catalog.jobs import read_job
from vaultd.catalog.runs import read_run
from vaultd.operations import safesets, sign_in

AGENT = b"a" * 32
TIMES = 12
PATIENCE_SECONDS = 10  # of a test whose agent and vault would wait for each other


@dataclass
class Agent:
    connection: ClientTransport
    site: Site
    backed_up: BackedUp

    def outcome(self) -> str:
        sealer = self.backed_up.sealer
        with self.site.vault.catalog.read() as view:
            run = read_run(view, self.backed_up.agent.identity.account_id, sealer.run_id)
        assert run is not None
        return run.outcome.value

    def end(self, outcome: str = "done") -> m.RunEndRequest:
        return m.RunEndRequest(self.backed_up.sealer.run_id, outcome, 1, 2, 3, 0, {})  # type: ignore[arg-type]

    def root(self, **changed: object) -> bytes:
        """And its payload, as safeset.commit takes them."""
        top = stored_leaf(self.site, self.backed_up)
        payload = self.backed_up.sealer.payload(top)
        return self.backed_up.sealer.root(top, payload, **changed) + payload


@pytest.fixture
def stored(running: Running, monkeypatch: pytest.MonkeyPatch) -> tuple[Site, BackedUp]:
    vault = running.service.vault
    site = Site(vault.config, vault.clock, running.created, vault)  # type: ignore[arg-type]
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    monkeypatch.setattr(sign_in, "sign_in_token", lambda vault, token: agent.identity if token == AGENT else None)
    return site, backed_up


@pytest.fixture
async def agent(running: Running, stored: tuple[Site, BackedUp]) -> AsyncIterator[Agent]:
    async with running.connect() as connection:
        await say_hello(connection, AGENT)
        yield Agent(connection, *stored)


async def test_what_comes_with_hello_is_answered_after_it(running: Running, stored: tuple[Site, BackedUp]) -> None:
    hello = m.HelloRequest([1], "test", "0", AGENT)
    for _ in range(TIMES):
        async with running.connect() as connection:
            async with (
                connection.asking("hello", hello) as greeted,
                connection.asking("agent.jobs", m.AgentJobsRequest()) as asked,
            ):
                jobs, _ = await asked.answer(m.AgentJobsAnswer)
                answer, _ = await greeted.answer(m.HelloAnswer)
        assert ([job.job_id for job in jobs.jobs], answer.role) == ([stored[1].sealer.job_id], "agent")


async def test_what_comes_with_a_hello_that_is_refused_is_refused(running: Running) -> None:
    for token in (None, bytes(32)):
        async with running.connect() as connection:
            async with (
                connection.asking("hello", m.HelloRequest([1], "test", "0", token)),
                connection.asking("agent.jobs", m.AgentJobsRequest()) as asked,
            ):
                with pytest.raises(RemoteProtocolError) as caught:
                    await asked.answer(m.AgentJobsAnswer)
        assert caught.value.code is ErrorCode.not_signed_in


async def test_a_run_key_that_comes_with_the_begin_is_taken_after_it(agent: Agent) -> None:
    sealer = agent.backed_up.sealer
    for _ in range(TIMES):
        sealer.run_id = os.urandom(16)
        begin, key = (
            m.RunBeginRequest(sealer.job_id, sealer.run_id, None),
            m.RunKeyRequest(sealer.run_id, sealer.make_sealed_key()),
        )
        asking = agent.connection.asking
        async with asking("run.begin", begin) as begun, asking("run.key", key) as sent:
            await sent.answer(m.RunKeyAnswer)
            await begun.answer(m.RunBeginAnswer)


async def test_an_end_that_comes_with_the_root_is_taken_after_it(agent: Agent) -> None:
    for number in range(1, TIMES + 1):
        agent.site.begin(agent.backed_up)
        head = {} if number == 1 else {"sequence": number, "previous": head_hash(agent)}
        commit, raw = m.SafesetCommitRequest(agent.backed_up.sealer.run_id), agent.root(**head)
        asking = agent.connection.asking
        async with asking("safeset.commit", commit, raw) as committed, asking("run.end", agent.end()) as ended:
            await ended.answer(m.RunEndAnswer)
            answer, _ = await committed.answer(m.SafesetCommitAnswer)
        assert (answer.sequence, agent.outcome()) == (number, "done")


def head_hash(agent: Agent) -> bytes:
    """What the vault tells of the newest safeset."""
    identity = agent.backed_up.agent.identity
    with agent.site.vault.catalog.read() as view:
        job = read_job(view, identity.account_id, agent.backed_up.sealer.job_id)
    assert job is not None
    return job.head_hash


async def test_an_end_that_comes_with_a_root_that_is_refused_ends_nothing(agent: Agent) -> None:
    """The run may go on, or tell that it failed."""
    for _ in range(TIMES):
        agent.site.begin(agent.backed_up)
        commit, raw = m.SafesetCommitRequest(agent.backed_up.sealer.run_id), agent.root(sequence=7)
        asking = agent.connection.asking
        async with asking("safeset.commit", commit, raw) as committed, asking("run.end", agent.end()) as ended:
            with pytest.raises(RemoteProtocolError, match="does not follow the head") as refused:
                await ended.answer(m.RunEndAnswer)
            with pytest.raises(RemoteProtocolError, match="does not follow the head"):
                await committed.answer(m.SafesetCommitAnswer)
        assert (refused.value.code, agent.outcome()) == (ErrorCode.conflict, "running")
    failed = m.RunEndRequest(agent.backed_up.sealer.run_id, "failed", 0, 0, 0, 0, {})
    await agent.connection.ask("run.end", failed, m.RunEndAnswer)
    assert agent.outcome() == "failed"


@pytest.fixture
def walking(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A look at a safeset that has begun, and may go on when the test says so."""
    begun, may_go_on = threading.Event(), threading.Event()
    real = safesets.prepare

    def prepare(*arguments: Any) -> Any:
        begun.set()
        assert may_go_on.wait(PATIENCE_SECONDS)
        return real(*arguments)

    monkeypatch.setattr(safesets, "prepare", prepare)
    yield begun, may_go_on
    may_go_on.set()


@pytest.mark.parametrize("outcome", ["failed", "aborted"])
@pytest.mark.parametrize("is_reset", [False, True], ids=["whole", "reset"])
async def test_a_run_that_is_given_up_waits_for_no_root(
    agent: Agent, walking: tuple[threading.Event, threading.Event], outcome: str, is_reset: bool
) -> None:
    """Its agent was interrupted while the vault looks at a root; that root becomes no safeset."""
    begun, may_go_on = walking
    agent.site.begin(agent.backed_up)
    commit, raw = m.SafesetCommitRequest(agent.backed_up.sealer.run_id), agent.root()
    with trio.fail_after(PATIENCE_SECONDS):
        async with agent.connection.asking("safeset.commit", commit, raw) as committed:
            await trio.to_thread.run_sync(begun.wait)
            if is_reset:
                await committed.aclose()
            await agent.connection.ask("run.end", agent.end(outcome), m.RunEndAnswer)
            may_go_on.set()
            if not is_reset:
                with pytest.raises(RemoteProtocolError, match=f"has ended as {outcome}"):
                    await committed.answer(m.SafesetCommitAnswer)
    assert (agent.outcome(), head_hash(agent)) == (outcome, bytes(32))


async def test_an_end_behind_a_root_that_was_reset_is_refused(agent: Agent) -> None:
    """Whenever the reset comes, before the vault began with the root or while it looks at it."""
    for _ in range(TIMES):
        agent.site.begin(agent.backed_up)
        commit, raw = m.SafesetCommitRequest(agent.backed_up.sealer.run_id), agent.root(sequence=7)
        asking = agent.connection.asking
        async with asking("safeset.commit", commit, raw) as committed, asking("run.end", agent.end()) as ended:
            await committed.aclose()
            with pytest.raises(RemoteProtocolError):
                await ended.answer(m.RunEndAnswer)
        assert agent.outcome() == "running"
