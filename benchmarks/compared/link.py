"""First backup over a line of 1 Gbit/s with 50 and with 150 ms round trip. borg has no network of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.random_file import write_random_file
from benchmarks.line import Line
from benchmarks.rounds import Contest, backup_of, run_fresh

TOOLS = ("safeset", "restic")
RATE_MBIT = 1000
ROUND_TRIPS_MS = (50, 150)


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    data = directory / "data"
    data.mkdir()
    write_random_file(data / "random", scale.link_bytes, seed)
    samples = []
    for round_trip_ms in ROUND_TRIPS_MS:
        line = Line(round_trip_ms, RATE_MBIT)
        contest = Contest(directory, TOOLS, rounds, line, is_extra=False)
        outcome = run_fresh(contest, [backup_of(data, f"{round_trip_ms} ms")])
        samples += outcome["samples"]
    return {**outcome, "samples": samples, "counted": samples}
