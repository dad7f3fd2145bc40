"""The lasting connection: made anew for ever, with pauses that grow, and begun with everything that waits."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.messages import AgentWorkAnswer, AgentWorkRequest
from tools.agent.service import vault_link
from tools.agent.service.vault_link import Pauses, VaultLink
from tools.client.failure import Failure
from tools.client.session import Endpoint

NOTHING = AgentWorkAnswer([], [], [])
WORK = AgentWorkAnswer([b"j" * 16], [], [])
REMOVED = RemoteProtocolError(ErrorCode.not_signed_in, "this agent's key is not known", "register the computer")
GONE = ConnectionLost("the connection ended")
LOST_BEHIND = AgentWorkAnswer([b"k" * 16], [], [])  # the last answer of a connection that ends behind it


class Script:
    """Each connection answers in turn what its list says; an error ends it, or is there instead of one."""

    def __init__(self, *connections: list[AgentWorkAnswer | Exception] | Exception) -> None:
        self.connections = list(connections)
        self.asked: list[list[bool]] = []
        self.times: list[float] = []
        self.taken: list[AgentWorkAnswer] = []
        self.said: list[str] = []

    @asynccontextmanager
    async def connect(self, endpoint: Endpoint, program: str, pauses_seconds: tuple[float, ...]) -> AsyncIterator[Any]:
        assert pauses_seconds == ()
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        answers = self.connections.pop(0)
        if isinstance(answers, Exception):
            raise answers
        asked: list[bool] = []
        self.asked.append(asked)

        class Session:
            is_lost = False

            async def ask(self, method: str, request: AgentWorkRequest, _: object) -> tuple[AgentWorkAnswer, bytes]:
                await trio.lowlevel.checkpoint()
                assert method == "agent.work"
                asked.append(request.all)
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                self.is_lost = answer is LOST_BEHIND
                return answer, b""

        yield Session()


Keep = Callable[[Script], Any]


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Keep:
    async def keep(script: Script) -> Failure:
        monkeypatch.setattr(vault_link, "connect", script.connect)
        link = VaultLink(Endpoint("https://v", ""), "test", script.taken.append, script.said.append)
        with pytest.raises(Failure) as caught:
            await link.keep()
        return caught.value

    return keep


async def test_a_new_connection_begins_with_everything_that_waits(
    keep: Keep, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script([NOTHING, WORK, NOTHING, GONE], [WORK, GONE], REMOVED)
    await keep(script)
    assert script.asked == [[True, False, False, False], [True, False]]
    assert script.taken == [NOTHING, WORK, NOTHING, WORK]


async def test_a_connection_that_the_session_makes_anew_begins_so_too(
    keep: Keep, autojump_clock: trio.testing.MockClock
) -> None:
    """What was asked for between the two was told to neither."""
    script = Script([NOTHING, LOST_BEHIND, WORK, NOTHING, GONE], REMOVED)
    await keep(script)
    assert script.asked == [[True, False, True, False, False]]


async def test_it_is_tried_for_ever_with_pauses_that_grow_to_a_minute(
    keep: Keep, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pauses.__init__, "__defaults__", (lambda: 1.0,))
    away = Failure("unreachable", "the vault at v cannot be reached: Connection refused")
    script = Script(*[away] * 9, [NOTHING, GONE], away, REMOVED)
    await keep(script)
    pauses = [round(after - before) for before, after in zip(script.times, script.times[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2]
    assert script.said == [  # once each, not at each attempt
        "no connection with the vault, tried again: the vault at v cannot be reached: Connection refused",
        "connected to the vault",
        "no connection with the vault, tried again: the connection ended",
        "no connection with the vault, tried again: the vault at v cannot be reached: Connection refused",
    ]


def test_chance_shortens_a_pause_by_half_at_most() -> None:
    assert [Pauses(chance).next() for chance in (lambda: 0.0, lambda: 0.5, lambda: 1.0)] == [0.5, 0.75, 1.0]


async def test_a_vault_that_answers_nothing_is_no_connection_yet(
    keep: Keep, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lets everybody in and serves nobody is not asked ever faster."""
    monkeypatch.setattr(Pauses.__init__, "__defaults__", (lambda: 1.0,))
    script = Script([GONE], [GONE], [GONE], REMOVED)
    await keep(script)
    assert [round(after - before) for before, after in zip(script.times, script.times[1:], strict=False)] == [1, 2, 4]


@pytest.mark.parametrize("code", [ErrorCode.not_signed_in, ErrorCode.not_allowed])
async def test_a_computer_that_was_removed_ends_it_with_one_error(keep: Keep, code: ErrorCode) -> None:
    at_hello = await keep(Script(RemoteProtocolError(code, "not known any more", "register it")))
    at_work = await keep(Script([NOTHING, ExceptionGroup("", [RemoteProtocolError(code, "not known any more")])]))
    assert [failure.exit_code for failure in (at_hello, at_work)] == [5, 5]
    assert (at_hello.message, at_hello.hint) == ("not known any more", "register it")
