"""Room for what restores hold: bounded, fair by account, and given up when it stands still while others wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.errors import ConnectionLost
from protocol.limits import FRAME_SECONDS
from vaultd.server.fetch_budget import FetchBudget


@pytest.fixture
def budget() -> FetchBudget:
    return FetchBudget(100)


class Holder:
    """Requests that hold their room until they are told to leave."""

    def __init__(self, budget: FetchBudget, nursery: trio.Nursery) -> None:
        self._budget = budget
        self._nursery = nursery
        self.inside: list[str] = []
        self.lost: list[str] = []
        self._leave: dict[str, trio.Event] = {}

    async def come(self, name: str, size_bytes: int, shrunk_bytes: int | None = None) -> None:
        """The first letter of a name is its account."""
        self._leave[name] = trio.Event()
        self._nursery.start_soon(self._hold, name, size_bytes, shrunk_bytes)
        await trio.testing.wait_all_tasks_blocked()

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await trio.testing.wait_all_tasks_blocked()

    async def _hold(self, name: str, size_bytes: int, shrunk_bytes: int | None) -> None:
        try:
            async with self._budget.room(name[:1].encode(), size_bytes) as room:
                if shrunk_bytes is not None:
                    room.shrink(shrunk_bytes)
                self.inside.append(name)
                await self._leave[name].wait()
            self.inside.remove(name)
        except ConnectionLost:
            self.inside.remove(name)
            self.lost.append(name)


@asynccontextmanager
async def holder(budget: FetchBudget) -> AsyncIterator[Holder]:
    async with trio.open_nursery() as nursery:
        yield Holder(budget, nursery)
        nursery.cancel_scope.cancel()
    assert budget.held_bytes == 0


async def test_rooms_stay_within_the_budget_and_come_in_turn(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for name in ("a1", "a2", "a3"):
            await requests.come(name, 40)
        assert (requests.inside, budget.held_bytes) == (["a1", "a2"], 80)
        await requests.leave("a1")
        assert (requests.inside, budget.held_bytes) == (["a2", "a3"], 80)


async def test_what_was_not_read_is_for_others(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for number in range(6):
            await requests.come(f"a{number}", 40, 15)
        assert (len(requests.inside), budget.held_bytes) == (5, 75)


async def test_an_account_has_its_part_and_who_has_least_goes_first(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for name in ("a1", "a2", "a3", "a4", "a5", "b1", "c1"):
            await requests.come(name, 20)
        assert requests.inside == ["a1", "a2", "a3", "a4", "a5"]
        await requests.leave("a1")
        await requests.leave("a2")
        assert requests.inside == ["a3", "a4", "a5", "b1", "c1"]


async def test_one_that_stands_still_is_given_up_only_while_others_wait(
    budget: FetchBudget, mock_clock: MockClock
) -> None:
    async with holder(budget) as requests:
        await requests.come("a1", 60)
        mock_clock.jump(10 * FRAME_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert requests.lost == []
        await requests.come("b1", 60)
        mock_clock.jump(FRAME_SECONDS - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert requests.inside == ["a1"]
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        assert (requests.inside, requests.lost) == (["b1"], ["a1"])
