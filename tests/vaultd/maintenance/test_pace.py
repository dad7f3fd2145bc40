"""How much of its time a duty that goes on for long leaves to others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from vaultd.maintenance import pace
from vaultd.maintenance.pace import Pace


class Clock:
    """In the place of the module `time`: two seconds pass in each piece of work."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def work(self) -> str:
        self.seconds += 2
        return "done"

    def pieces(self, count: int) -> Iterator[None]:
        for _ in range(count):
            self.work()
            yield


@pytest.mark.parametrize(("percent", "pause_seconds"), [(100, 0), (50, 2), (25, 6), (1, 198)])
async def test_the_longer_it_worked_the_longer_it_rests(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object, percent: int, pause_seconds: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    begin = trio.current_time()
    assert await Pace(percent).walk(clock.work) == "done"
    assert await Pace(percent).write(clock.work) == "done"
    assert trio.current_time() - begin == pytest.approx(2 * pause_seconds, abs=1e-6)


async def test_each_piece_has_a_turn_of_its_own(monkeypatch: pytest.MonkeyPatch, autojump_clock: object) -> None:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    begin = trio.current_time()
    await Pace(25).walk_all(clock.pieces(3))
    assert trio.current_time() - begin == pytest.approx(3 * 6, abs=1e-6)
