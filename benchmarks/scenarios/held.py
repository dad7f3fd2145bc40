"""How long commits of safesets hold the write thread of a vault with ten million chunks, while agents upload and one
collection follows the other.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.load.agents import Fleet, Load
from benchmarks.load.processes import PeakMemory
from benchmarks.load.timed_site import TimedSite

IDS = 10_000_000
AGENTS = 4
BYTES_PER_AGENT = 8 << 20
RUNS_IN_A_ROUND = 10  # of each agent
GROWN, FILLED = "a vault that grew run by run", "one just filled in large steps"


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    return [*_case(directory / "grown", GROWN, seed, rounds), *_case(directory / "filled", FILLED, seed, rounds)]


def _case(directory: Path, case: str, seed: int, rounds: int) -> list[dict[str, Any]]:
    with TimedSite(directory / "site") as site:
        site.fill(IDS, seed, keeps_free_pages=case == FILLED)
        site.start(collects=True)
        load = Load(AGENTS, BYTES_PER_AGENT, 50, seed)
        fleet = Fleet(directory / "fleet", site.url, site.admin, load, has_one_keyring=True)
        fleet.prepare()
        times = [_round(site, fleet, number) for number in range(rounds)]
        site.stop()
        return [_sample(site, case, number, *begin_end) for number, begin_end in enumerate(times)]


def _round(site: TimedSite, fleet: Fleet, number: int) -> tuple[float, float]:
    fleet.look_at_all()
    begin_seconds = time.time()
    with PeakMemory() as memory:
        for turn in range(RUNS_IN_A_ROUND):
            fleet.write_round(number * RUNS_IN_A_ROUND + turn)
            runs = fleet.run_round(turn, memory)
            if not all(one.is_good for one in runs):
                raise RuntimeError(f"an agent failed: {[one.summary for one in runs if not one.is_good]}")
            fleet.delete_former([runs[turn % AGENTS]])
    return begin_seconds, time.time()


def _sample(site: TimedSite, case: str, number: int, begin_seconds: float, end_seconds: float) -> dict[str, Any]:
    commits = [note for note in site.notes("commit") if begin_seconds <= note["begin_seconds"] < end_seconds]
    return {
        "case": case,
        "round": number,
        "chunks": IDS,
        "held_seconds": [round(one["seconds"], 6) for one in commits],
        "cpu_seconds": [round(one["cpu_seconds"], 6) for one in commits],
        "collecting_share": site.collecting_share(begin_seconds, end_seconds),
    }
