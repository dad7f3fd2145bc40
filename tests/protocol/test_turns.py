"""Which request of a connection waits for which."""

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.exchange import Exchange
from protocol.turns import Place, Turns
from tests.protocol.support.certificates import Site
from tests.protocol.support.loopback import Server, connected, greet, say_hello

PATIENCE_SECONDS = 10  # of a request that waits for one which does not end


class Pulse:
    def __init__(self) -> None:
        self._event = trio.Event()

    def beat(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self, timeout_seconds: float) -> bool:
        await self._event.wait()
        return True


@pytest.fixture
def turns() -> Turns:
    return Turns(Pulse)


async def waits(place: Place) -> bool:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    return bool(scope.cancelled_caught)


@pytest.mark.parametrize(
    ("earlier", "later", "is_waiting"),
    [
        ("hello", "agent.jobs", True),
        ("hello", "hello", True),
        ("run.begin", "run.key", True),
        ("safeset.commit", "run.end", True),
        ("run.begin", "run.progress", False),
        ("run.key", "run.begin", False),
        ("run.begin", "run.end", False),
    ],
)
async def test_what_waits_for_what(turns: Turns, earlier: str, later: str, is_waiting: bool) -> None:
    first, second = turns.enter(earlier), turns.enter(later)
    assert (await waits(first), await waits(second)) == (False, is_waiting)
    first.own.end()
    assert not await waits(second)


async def test_a_request_is_refused_with_the_error_of_the_one_that_it_follows(turns: Turns) -> None:
    commit, end = turns.enter("safeset.commit"), turns.enter("run.end")
    commit.own.error = RemoteProtocolError(ErrorCode.conflict, "the head moved")
    commit.own.end()
    with pytest.raises(RemoteProtocolError, match="the head moved"):
        await end.wait()


async def test_one_that_comes_after_the_answer_is_told_nothing_of_the_error(turns: Turns) -> None:
    commit = turns.enter("safeset.commit")
    commit.own.error = RemoteProtocolError(ErrorCode.conflict, "the head moved")
    commit.own.end()
    await turns.enter("run.end").wait()


async def test_who_was_told_the_error_asks_what_follows_nothing(site: Site) -> None:
    """Also where the one that was refused is still being tidied up."""
    may_end = trio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        await exchange.wait_for_turn()
        if exchange.method == "safeset.commit":
            await exchange.send_error(ErrorCode.conflict, "the head moved")
            await may_end.wait()
        else:
            await exchange.send_message(m.RunEndAnswer())

    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        with pytest.raises(RemoteProtocolError, match="the head moved"):
            await client.ask("safeset.commit", m.SafesetCommitRequest(bytes(16)), m.SafesetCommitAnswer)
        failed = m.RunEndRequest(bytes(16), "failed", 0, 0, 0, 0, {})
        with trio.fail_after(PATIENCE_SECONDS):
            await client.ask("run.end", failed, m.RunEndAnswer)
        may_end.set()
