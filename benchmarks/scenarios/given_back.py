"""How much of the space that nobody needs a vault gives back.

Agents back up new content again and again, at once, so that what they store lies mixed in the containers. Then all
safesets but those of the first agent and the newest of each are deleted and purged, and collections go on until one
finds nothing to do. What was dead is counted by a second vault, which only ever was sent what the first one still has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.load.agents import Fleet, Load
from benchmarks.load.processes import PeakMemory
from benchmarks.load.timed_site import TimedSite

AGENTS = 4
BYTES_PER_AGENT = 128 << 20
RUNS = 6


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del rounds  # bytes do not change from round to round
    load = Load(AGENTS, BYTES_PER_AGENT, 50, seed)
    with TimedSite(directory / "live") as live:
        live.start()
        _back_up(live, load, agents_before_the_last=1)
        live_bytes = live.container_bytes()
    with TimedSite(directory / "whole") as site:
        site.start()
        _back_up(site, load, agents_before_the_last=AGENTS, deletes=True)
        site.wait_until_purged()
        before_bytes = site.container_bytes()
        collections = site.collect()
        after_bytes = site.container_bytes()
    return [
        {
            "case": f"{AGENTS} agents, {RUNS} runs",
            "round": 0,
            "before_bytes": before_bytes,
            "after_bytes": after_bytes,
            "live_bytes": live_bytes,
            "collections": len(collections),
            "records_dropped": sum(one["records_dropped"] for one in collections),
            "containers_moved": sum(one["containers_moved"] for one in collections),
            "told_bytes": sum(one["bytes_given_back"] for one in collections),
            "dropped_bytes": sum(one["bytes_dropped"] for one in collections),
        }
    ]


def _back_up(site: TimedSite, load: Load, *, agents_before_the_last: int, deletes: bool = False) -> None:
    fleet = Fleet(site.directory / "fleet", site.url, site.admin, load, has_one_keyring=True)
    fleet.prepare()
    with PeakMemory() as memory:
        for number in range(RUNS):
            is_last = number == RUNS - 1
            fleet.write_round(number)
            runs = fleet.run_round(number, memory, agents=None if is_last else agents_before_the_last)
            if not all(one.is_good for one in runs):
                raise RuntimeError(f"an agent failed: {[one.summary for one in runs if not one.is_good]}")
            if deletes and number:
                fleet.delete_former(runs[1:])
