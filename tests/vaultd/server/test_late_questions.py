"""Questions that never come: they take nothing from those that did, whoever of the account asks."""

import pytest
import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.methods import METHODS
from protocol.transport import ClientTransport
from tests.vaultd.server.conftest import Running, say_hello
from vaultd.operations import sign_in
from vaultd.records import Identity, Role
from vaultd.server import dispatch
from vaultd.server.request import Request

HOSTILE, OTHER = b"h" * 32, b"o" * 32
STREAMS = 40
WAIT_SECONDS = 20  # of a test in which nobody is answered
ACCOUNT = b"a" * 16


@pytest.fixture
def answering(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Two agents of an account sign in, and have no jobs."""
    agents = {token: Identity(token[:16], ACCOUNT, Role.AGENT, "pc") for token in (HOSTILE, OTHER)}
    monkeypatch.setattr(sign_in, "sign_in_token", lambda vault, token: agents.get(token))

    async def no_jobs(_request: Request) -> m.AgentJobsAnswer:
        return m.AgentJobsAnswer([])

    monkeypatch.setitem(dispatch.ASKED, "agent.jobs", no_jobs)
    return running


async def until_asked(running: Running, connection: ClientTransport) -> None:
    """The vault takes requests of a connection in their order: those that were begun before are there."""
    await connection.ask("authority", m.AuthorityRequest(), m.AuthorityAnswer)
    await trio.testing.wait_all_tasks_blocked(0.2)


@pytest.mark.parametrize("sent", [b"", b"\x01\x00"], ids=["headers", "half a frame"])
async def test_questions_that_never_come_hold_no_room(answering: Running, sent: bytes) -> None:
    async with answering.connect() as hostile, answering.connect() as other:
        await say_hello(hostile, HOSTILE)
        await say_hello(other, OTHER)
        for _ in range(STREAMS):
            channel = await hostile.open_channel("agent.jobs")
            if sent:
                await channel.send([sent])
        await until_asked(answering, hostile)
        assert answering.service.fetches.held_bytes == 0
        with trio.fail_after(WAIT_SECONDS):
            await other.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)


async def test_nor_do_those_that_follow_one_that_never_comes(
    answering: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No method with a large answer follows another one today."""
    monkeypatch.setitem(dispatch.LARGE_ANSWERS, "run.key", limits.ANSWER_HEADER_BYTES_MAX)
    async with answering.connect() as hostile, answering.connect() as other:
        await say_hello(hostile, HOSTILE)
        await say_hello(other, OTHER)
        await hostile.open_channel("run.begin")
        for _ in range(STREAMS):
            call = hostile.call("run.key")
            await call.send(m.RunKeyRequest(bytes(16), bytes(limits.SEALED_KEY_BYTES_MAX)))
            await call.end()
        await until_asked(answering, hostile)
        assert answering.service.fetches.held_bytes == 0
        with trio.fail_after(WAIT_SECONDS):
            await other.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)


def test_what_waits_for_room_is_no_large_question() -> None:
    """Those that are larger than a window count in the budget of what is received, where they would wait too."""
    assert {
        name for name in dispatch.LARGE_ANSWERS if METHODS[name].limits.frame_bytes > limits.H2_WINDOW_BYTES_OPEN
    } == set()
