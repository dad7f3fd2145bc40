"""How far a run is: told by its agent, answered to its account's people, in memory as long as run and connection."""

import os
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.transport import ClientTransport
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.server.conftest import Running, say_hello
from vaultd.operations import jobs, sign_in
from vaultd.records import Identity

PERSON, AGENT, SIBLING, STRANGER = (name * 32 for name in (b"p", b"a", b"s", b"f"))


@dataclass
class Asked:
    """A run that somebody asked for goes on."""

    running: Running
    site: Site
    backed_up: BackedUp

    @property
    def run_id(self) -> bytes:
        return self.backed_up.sealer.run_id

    async def state(self) -> m.JobRequestAnswer:
        async with self.running.connect() as connection:
            await say_hello(connection, PERSON)
            request = m.JobRequestRequest("laptop", "home", 1)
            answer, _ = await connection.ask("job.request", request, m.JobRequestAnswer)
            return answer

    async def progress(self) -> tuple[int, int, int | None] | None:
        told = (await self.state()).progress
        return None if told is None else (told.files, told.bytes, told.bytes_total)


@pytest.fixture
def asked(running: Running, monkeypatch: pytest.MonkeyPatch) -> Asked:
    vault = running.service.vault
    site = Site(vault.config, vault.clock, running.created, vault)  # type: ignore[arg-type]
    known = sign_in.sign_in_token
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    jobs.request_run(vault, administrator, "laptop", "home")
    site.begin(backed_up)
    others = {SIBLING: site.agent(administrator, "other"), STRANGER: site.agent(site.administrator("stranger"))}
    identities: dict[bytes, Identity] = {PERSON: administrator, AGENT: agent.identity}
    identities |= {token: other.identity for token, other in others.items()}
    monkeypatch.setattr(sign_in, "sign_in_token", lambda vault, token: identities.get(token) or known(vault, token))
    return Asked(running, site, backed_up)


async def tell(
    connection: ClientTransport, run_id: bytes, files: int, size: int, total: int | None = None
) -> m.RunProgressAnswer:
    request = m.RunProgressRequest(run_id, files, size, total)
    return (await connection.ask("run.progress", request, m.RunProgressAnswer))[0]


async def end(connection: ClientTransport, run_id: bytes) -> None:
    await connection.ask("run.end", m.RunEndRequest(run_id, "failed", 9, 0, 0, 0, {}), m.RunEndAnswer)


async def test_what_was_told_last_is_answered_until_the_run_ends(asked: Asked) -> None:
    before = await asked.state()
    assert (before.state, before.progress) == ("running", None)
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, asked.run_id, 3, 4000)
        assert await asked.progress() == (3, 4000, None)
        await tell(agent, asked.run_id, 5, 6000, 9000)
        told = await asked.state()
        assert told.progress is not None
        assert told.run is not None
        assert (told.progress.files, told.progress.bytes, told.progress.bytes_total) == (5, 6000, 9000)
        assert told.run.begin_ns <= told.progress.time_ns <= asked.site.vault.clock.now_ns()
        await end(agent, asked.run_id)
        ended = await asked.state()
        assert (ended.state, ended.progress) == ("failed", None)
        assert len(asked.running.service.progress) == 0


async def test_it_is_written_nowhere(asked: Asked) -> None:
    vault = asked.running.service.vault
    before = vault.store.position, vault.catalog.position()
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, asked.run_id, 1, 1, 1)
        assert (vault.store.position, vault.catalog.position()) == before


async def test_it_goes_with_the_connection_and_comes_with_the_next_report(asked: Asked) -> None:
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, asked.run_id, 1, 1)
        assert await asked.progress() == (1, 1, None)
    with trio.fail_after(10):
        while len(asked.running.service.progress):
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert (await asked.state()).state == "running"
    assert await asked.progress() is None
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, asked.run_id, 2, 2)
        assert await asked.progress() == (2, 2, None)


async def test_another_run_of_the_job_begins_without_any(asked: Asked) -> None:
    old = asked.run_id
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, old, 1, 1)
        request = m.RunBeginRequest(asked.backed_up.sealer.job_id, os.urandom(16), None)
        await agent.ask("run.begin", request, m.RunBeginAnswer)
        assert len(asked.running.service.progress) == 0
        assert await asked.progress() is None
        with pytest.raises(RemoteProtocolError, match=f"run {old.hex()} does not exist"):
            await tell(agent, old, 2, 2)
        await tell(agent, request.run_id, 7, 7)
        assert len(asked.running.service.progress) == 1
        assert await asked.progress() is None, "of a run that nobody asked for"


async def test_a_run_that_is_not_ones_own_or_has_ended_does_not_exist(asked: Asked) -> None:
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await end(agent, asked.run_id)
    said = set()
    for token in (AGENT, SIBLING, STRANGER):
        async with asked.running.connect() as agent:
            await say_hello(agent, token)
            for run_id in (asked.run_id, os.urandom(16)):
                with pytest.raises(RemoteProtocolError) as refused:
                    await tell(agent, run_id, 1, 1)
                error = refused.value
                said.add((error.code, error.message.replace(run_id.hex(), "RUN"), error.hint))
    assert said == {(ErrorCode.not_found, "run RUN does not exist", "")}
    assert len(asked.running.service.progress) == 0


async def test_the_run_of_others_is_not_touched(asked: Asked) -> None:
    async with asked.running.connect() as agent:
        await say_hello(agent, AGENT)
        await tell(agent, asked.run_id, 1, 1)
        for token in (SIBLING, STRANGER):
            async with asked.running.connect() as other:
                await say_hello(other, token)
                with pytest.raises(RemoteProtocolError):
                    await tell(other, asked.run_id, 666, 666)
        assert await asked.progress() == (1, 1, None)
