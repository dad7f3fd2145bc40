"""Progress: at most one JSON line a second, speed and estimate over the last seconds, silence without a terminal."""

import json

import pytest

from tools.client.output import Output
from tools.client.progress import Figures, Progress, Speedometer, line_text, remaining_seconds


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_json_lines_about_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(Output(json=True), clock) as progress:
        for step in range(21):
            clock.seconds = 100 + step / 10
            progress.update(Figures("storing", files=step, bytes=step * 100, bytes_total=4000))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["files"] for line in lines] == [0, 10, 20]
    assert {line["type"] for line in lines} == {"status"}
    assert lines[0]["bytes_per_second"] is None
    assert (lines[2]["bytes"], lines[2]["bytes_per_second"], lines[2]["remaining_seconds"]) == (2000, 1000, 2)


def test_figures_that_somebody_else_told_have_their_own_time(capsys: pytest.CaptureFixture[str]) -> None:
    """However late and unevenly they come here, and with a speed from the first of them on."""
    clock = Clock()
    with Progress(Output(json=True), clock) as progress:
        progress.began(1_700_000_000.0)
        for told_at, arrived_at in ((3, 100.0), (6, 104.5), (9, 106.0)):
            clock.seconds = arrived_at
            progress.update(Figures("backing up", 1, told_at * 100, 3000), 1_700_000_000.0 + told_at)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["bytes_per_second"] for line in lines] == [100, 100, 100]
    assert [line["remaining_seconds"] for line in lines] == [27, 24, 21]


def test_silence_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Output()) as progress:
        progress.update(Figures("storing", 1, 1))
    assert capsys.readouterr() == ("", "")


def test_speed_is_of_the_last_seconds() -> None:
    speed = Speedometer()
    assert speed.bytes_per_second() is None
    for second in range(100):
        speed.add(float(second), min(second, 80) * 1000)
    assert speed.bytes_per_second() == 0


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """The times may be those of another machine."""
    speed = Speedometer()
    for second in range(1000, 1010):
        speed.add(float(second), second)
    for second in range(100):
        speed.add(float(second), second * 7)
    assert speed.bytes_per_second() == 7
    assert len(speed._points) <= 12


def test_no_estimate_without_total_or_speed() -> None:
    assert remaining_seconds(Figures("p", 1, 1), 5.0) is None
    assert remaining_seconds(Figures("p", 1, 1, 10), 0.0) is None
    assert remaining_seconds(Figures("p", 1, 10, 5), 5.0) == 0


def test_the_line_for_people() -> None:
    text = line_text(Figures("storing", 1234, 1_500_000_000, 3_000_000_000), 50_000_000.0)
    assert text == "storing  1,234 files  1.5 GB of 3.0 GB  50.0 MB/s  30 s left"
    assert line_text(Figures("reading"), None) == "reading  0 files  0 B"
