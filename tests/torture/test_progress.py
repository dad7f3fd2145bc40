"""What a torture tells on its way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.torture import progress
from tests.torture.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    moving = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: moving.now))
    return moving


def test_a_line_has_speed_and_what_is_left(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress("kills", 100)
    told.begin("seed 1")
    clock.now += 30
    told.tell(10, "3 rounds")
    assert capsys.readouterr().err.splitlines() == [
        "kills: 0 of 100; seed 1",
        "kills: 10 of 100, 20 a minute, 4 min 30 s left; 3 rounds",
    ]


def test_lines_are_ten_seconds_apart_but_for_the_last(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Progress("kills", 30)
    for done in range(1, 31):
        clock.now += 1
        told.tell(done, "")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["kills: 10 of 30", "kills: 20 of 30", "kills: 30 of 30"]
    assert "left" not in lines[-1]
