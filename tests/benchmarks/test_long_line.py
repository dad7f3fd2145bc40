"""The parts of a backup's time on a long line."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.long_line import parts_of
from benchmarks.tables import render

MIB = 1 << 20


def test_the_parts_are_the_whole_together() -> None:
    # 125 MB take a second: begun at 100.25, 2 s in gaps before them, 0.5 s amid, 1 s after.
    gaps = [(100.25, 2.0, 4000), (102.7, 0.5, 60 * MIB), (103.75, 1.0, 125_000_000 - 10)]
    told = {"bytes_up": 125_000_000, "begun_up": 100.25, "ended_up": 104.75, "gaps_up": gaps}
    assert parts_of(told, 100.0, 5.0) == pytest.approx(
        {
            "wall_seconds": 5.0,
            "started_seconds": 0.25,
            "asked_seconds": 2.0,
            "sent_seconds": 1.0,
            "not_filled_seconds": 0.5,
            "ended_seconds": 1.25,
        }
    )


def test_the_table_has_the_medians_in_the_order_of_time() -> None:
    parts = ("started_seconds", "asked_seconds", "sent_seconds", "not_filled_seconds", "ended_seconds")
    samples = [
        {"case": "150 ms", "round": number, "wall_seconds": 6.0 + number, **dict.fromkeys(parts, 1.0 + number)}
        for number in range(3)
    ]
    samples = [{**sample, "asked_seconds": 3.5} for sample in samples]
    result = {"scenario": "long_line", "commit": "c" * 40, "versions": {}, "start": "now", "samples": samples}
    rendered = render({**result, "machine": {"processor": "P", "cores": 2}})
    assert "| 150 ms | 3 | 7.00 (6.00-8.00) | 2.00 | 3.50 | 2.00 | 2.00 | 2.00 |" in rendered
