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
            account = name[:1].encode()
            with self._budget.request(account):
                async with self._budget.room(account, size_bytes) as room:
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
        for name in ("a1", "b1", "c1"):
            await requests.come(name, 40)
        assert (requests.inside, budget.held_bytes) == (["a1", "b1"], 80)
        await requests.leave("a1")
        assert (requests.inside, budget.held_bytes) == (["b1", "c1"], 80)


async def test_what_was_not_read_is_for_others(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for number in range(6):
            await requests.come(f"a{number}", 20, 10)
        assert (len(requests.inside), budget.held_bytes) == (4, 40)


async def test_an_account_has_its_part_and_who_has_least_goes_first(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for name in ("a1", "a2", "a3", "b1", "b2", "b3", "c1"):
            await requests.come(name, 25)
        assert requests.inside == ["a1", "a2", "b1", "b2"]
        await requests.leave("a1")
        await requests.leave("b1")
        assert requests.inside == ["a2", "b2", "c1"]  # a and b have their thirds


async def test_the_account_with_least_goes_first_however_late_it_comes(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for name, size_bytes in (("b1", 75), ("a1", 10), ("a2", 20), ("c1", 80)):
            await requests.come(name, size_bytes)
        assert requests.inside == ["b1", "a1"]
        await requests.leave("b1")
        assert requests.inside == ["a1", "c1"]


async def test_small_rooms_never_keep_a_large_one_waiting_for_ever(budget: FetchBudget) -> None:
    """Whoever leaves comes again at once; the large one comes in when those before it have left."""
    async with holder(budget) as requests:
        for name in "abcdefghij":
            await requests.come(name, 10)
        await requests.come("z", 40)
        for number, name in enumerate("abcdefghij"):
            await requests.leave(name)
            await requests.come(f"{name}{number}", 10)
        assert "z" in requests.inside


async def test_an_older_room_of_an_account_goes_before_its_younger_ones(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        await requests.come("a1", 20)
        await requests.come("a2", 20)
        await requests.come("a3", 45)
        await requests.come("a4", 5)
        await requests.leave("a1")
        assert requests.inside == ["a2"]
        await requests.leave("a2")
        assert sorted(requests.inside) == ["a3", "a4"]


async def test_an_account_keeps_its_part_between_two_rooms(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        with budget.request(b"b"), budget.request(b"c"):
            for name in ("a1", "a2", "a3"):
                await requests.come(name, 15)
            assert requests.inside == ["a1", "a2"]
        await trio.testing.wait_all_tasks_blocked()
        assert requests.inside == ["a1", "a2", "a3"]


async def test_an_account_alone_leaves_half_for_whoever_comes(budget: FetchBudget) -> None:
    async with holder(budget) as requests:
        for number in range(9):
            await requests.come(f"a{number}", 10)
        await requests.come("b1", 40)
        assert requests.inside == ["a0", "a1", "a2", "a3", "a4", "b1"]


async def test_slow_rooms_are_not_given_up_for_their_own_account(budget: FetchBudget, mock_clock: MockClock) -> None:
    async with holder(budget) as requests:
        for name in ("a1", "a2"):
            await requests.come(name, 60)
        mock_clock.jump(3 * FRAME_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert (requests.inside, requests.lost) == (["a1"], [])


async def test_nor_are_those_of_an_account_within_its_part(budget: FetchBudget, mock_clock: MockClock) -> None:
    async with holder(budget) as requests:
        for name in ("a1", "b1", "c1"):
            await requests.come(name, {"a1": 30, "b1": 60, "c1": 40}[name])
        mock_clock.jump(FRAME_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert (requests.inside, requests.lost) == (["a1", "c1"], ["b1"])


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
