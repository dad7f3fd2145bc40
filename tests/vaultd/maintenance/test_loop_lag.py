"""The longest wait of the event loop, as the metric shows it. Lower bounds only: a machine may always be slower."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from vaultd import metrics
from vaultd.maintenance.loop_lag import TICK_SECONDS, WINDOW_TICKS, watch_loop_lag

BLOCK_SECONDS = 0.06


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    metrics.EVENT_LOOP_LAG_SECONDS_MAX.set(0)
    metrics.EVENT_LOOP_CPU_SECONDS_MAX.set(0)


def lag_seconds() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_event_loop_lag_seconds_max") or 0.0


def cpu_seconds() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_event_loop_cpu_seconds_max") or 0.0


async def test_a_call_that_blocks_the_loop_between_two_ticks_is_seen_whole(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The clock of the ticks stands still meanwhile: no tick is late."""
    nursery.start_soon(watch_loop_lag)
    await trio.sleep(TICK_SECONDS / 2)
    time.sleep(BLOCK_SECONDS)  # noqa: ASYNC251
    await trio.sleep(TICK_SECONDS)
    assert lag_seconds() >= BLOCK_SECONDS


async def test_work_of_the_loop_is_told_from_waiting(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    nursery.start_soon(watch_loop_lag)
    await trio.sleep(TICK_SECONDS / 2)
    time.sleep(1)  # noqa: ASYNC251
    await trio.sleep(TICK_SECONDS)
    assert cpu_seconds() < 0.5 < lag_seconds()
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass
    await trio.sleep(TICK_SECONDS)
    assert cpu_seconds() >= 0.5


async def test_a_tick_that_comes_late_is_seen_and_told(nursery: trio.Nursery) -> None:
    with structlog.testing.capture_logs() as logs:
        nursery.start_soon(watch_loop_lag)
        await trio.testing.wait_all_tasks_blocked()
        time.sleep(TICK_SECONDS + 0.6)  # noqa: ASYNC251
        await trio.sleep(TICK_SECONDS)
    assert lag_seconds() >= 0.6
    assert [line["event"] for line in logs][:1] == ["event loop was late"]


async def test_a_lag_is_forgotten_after_a_minute(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    nursery.start_soon(watch_loop_lag)
    await trio.sleep(TICK_SECONDS / 2)
    autojump_clock.jump(1000)
    await trio.sleep(TICK_SECONDS / 2)
    assert lag_seconds() >= 999
    await trio.sleep(TICK_SECONDS * (WINDOW_TICKS + 1))
    assert lag_seconds() < 999
