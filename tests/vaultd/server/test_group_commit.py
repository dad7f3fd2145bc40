"""When uploads become durable, told with a store that only counts. Time is Trio's mock clock."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from vaultd.errors import NoSpace, Unavailable
from vaultd.server.group_commit import GroupCommit


class CountingStore:
    """Remembers what was appended and how much of it each commit made durable."""

    def __init__(self) -> None:
        self.appended = 0
        self.commits: list[int] = []
        self.broken = False

    def append(self) -> None:
        self.appended += 1

    def commit(self) -> None:
        if self.broken:
            raise OSError("no disk")
        self.commits.append(self.appended)


async def write_here(function: Callable[[], int]) -> int:
    """In place of the write thread, whose real time a mock clock does not know."""
    await trio.lowlevel.checkpoint()
    return function()


def group_over(store: CountingStore, *, pause_seconds: float = 0.05) -> GroupCommit:
    return GroupCommit(store.commit, 1000, pause_seconds, write_here)


async def test_a_full_group_is_committed_without_a_pause(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)
    begin = trio.current_time()
    await group.append(store.append, 400)
    assert store.commits == []
    ticket = await group.append(store.append, 600)
    await group.wait_durable(ticket)
    assert (store.commits, trio.current_time()) == ([2], begin)


async def test_a_pause_ends_a_group(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)
    begin = trio.current_time()
    await group.wait_durable(await group.append(store.append, 1))
    assert trio.current_time() - begin == pytest.approx(0.05)
    assert store.commits == [1]


async def test_a_steady_trickle_is_answered_within_a_second(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)
    ticket = await group.append(store.append, 1)
    for _ in range(60):
        await trio.sleep(0.02)
        await group.append(store.append, 1)
    await group.wait_durable(ticket)
    assert len(store.commits) == 1


async def test_the_end_of_an_upload_does_not_wait(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)
    ticket = await group.append(store.append, 1)
    group.hurry()
    await group.wait_durable(ticket)
    assert store.commits == [1]


async def test_one_commit_serves_everyone(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    durable: list[int] = []

    async def upload() -> None:
        await group.wait_durable(await group.append(store.append, 1))
        durable.append(1)

    nursery.start_soon(group.run)
    async with trio.open_nursery() as uploads:
        for _ in range(5):
            uploads.start_soon(upload)
        while store.appended < 5:
            await trio.lowlevel.checkpoint()
        group.hurry()
        while len(durable) < 5:
            group.hurry()
            await trio.lowlevel.checkpoint()
    assert store.commits[-1] == 5
    assert len(store.commits) <= 5


async def test_flush_makes_everything_durable_and_nothing_is_committed_twice(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)
    await group.flush()
    assert store.commits == []
    await group.append(store.append, 1)
    await group.flush()
    await group.flush()
    await wait_all_tasks_blocked()
    assert store.commits == [1]


async def test_after_a_failed_commit_nobody_is_told_durable_ever_again(mock_clock: MockClock) -> None:
    store = CountingStore()
    store.broken = True
    group = group_over(store)
    caught: list[BaseException] = []

    async def run() -> None:
        with pytest.raises(OSError, match="no disk"):
            await group.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        ticket = await group.append(store.append, 1)
        group.hurry()
        with pytest.raises(Unavailable) as waiting:
            await group.wait_durable(ticket)
        caught.append(waiting.value)
        store.broken = False
        with pytest.raises(Unavailable):
            await group.append(store.append, 1)
        with pytest.raises(Unavailable):
            await group.flush()
    assert isinstance(caught[0].__cause__, OSError)
    assert (store.appended, store.commits) == (1, [])


async def test_a_commit_that_met_a_full_disk_is_told_as_that_to_everybody(mock_clock: MockClock) -> None:
    """So that agents end with exit 7 and its hint, as where they are refused before anything is written."""

    def commit() -> None:
        raise NoSpace("no room", "make room")

    group = GroupCommit(commit, 1000, 0.05, write_here)

    async def run() -> None:
        with pytest.raises(NoSpace):
            await group.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        ticket = await group.append(int, 1)
        group.hurry()
        with pytest.raises(NoSpace, match="no room") as waiting:
            await group.wait_durable(ticket)
        assert waiting.value.hint == "make room"
        with pytest.raises(NoSpace, match="no room"):
            await group.append(int, 1)


async def test_an_append_that_fails_is_nobody_elses_failure(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    store = CountingStore()
    group = group_over(store)
    nursery.start_soon(group.run)

    def refuse() -> None:
        raise ValueError("bad record")

    with pytest.raises(ValueError, match="bad record"):
        await group.append(refuse, 1)
    await group.append(store.append, 1)
    await group.flush()
    assert store.commits == [1]
