"""Work in threads: how much at once, in which order, and that where there is room nobody waits for it."""

from threading import Event

import pytest
import trio
import trio.testing

from protocol.thread_limit import ThreadLimit, run_in_thread


async def test_where_there_is_room_nobody_waits():
    limit = ThreadLimit(1)
    with trio.testing.assert_no_checkpoints():
        await limit.acquire_on_behalf_of("one")
    assert limit.threads_busy == 1
    limit.release_on_behalf_of("one")
    assert limit.threads_busy == 0


async def test_no_more_than_the_limit_run_and_who_asked_first_goes_first(nursery: trio.Nursery):
    limit, standing, order = ThreadLimit(2), Event(), []
    for _ in range(2):
        nursery.start_soon(run_in_thread, limit, standing.wait)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(10):
        nursery.start_soon(run_in_thread, limit, order.append, number)
        await trio.testing.wait_all_tasks_blocked()
    assert (limit.threads_busy, order) == (2, [])
    standing.set()
    while len(order) < 10:
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert order[:2] == [0, 1] or order[:2] == [1, 0]
    assert sorted(order) == list(range(10))


async def test_a_call_that_fails_gives_its_place_back():
    limit = ThreadLimit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(limit, divmod, 1, 0)
    assert limit.threads_busy == 0
