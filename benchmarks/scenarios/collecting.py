"""What backups lose while one collection follows the other: rounds with and without, in turn, of the same agents.

Each round gives all agents new content; what all but the first of them had in the round before is deleted and purged
before it begins, so that a collection has records to drop, and containers of which a part is to be copied.
Beside it are the chunks of a safeset that nobody changes, which every collection marks and sweeps.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.housekeeping_table import WITH, WITHOUT
from benchmarks.load.agents import Fleet, Load
from benchmarks.load.figures import AgentRun, figures_of
from benchmarks.load.processes import PeakMemory
from benchmarks.load.timed_site import TimedSite

IDS = 50_000  # few, so that a round sees whole collections, with their moves
AGENTS = 4
BYTES_PER_AGENT = 256 << 20


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """Each round has a pair; the order changes from pair to pair. One backup of all is made before and not counted."""
    with TimedSite(directory / "site") as site:
        site.fill(IDS, seed)
        site.start()
        load = Load(AGENTS, BYTES_PER_AGENT, 50, seed)
        fleet = Fleet(directory / "fleet", site.url, site.admin, load, has_one_keyring=True)
        fleet.prepare()
        fleet.write_round(0)
        runs = _backed_up(fleet, 0)
        site.stop()
        samples = []
        for number in range(rounds):
            for case in ((WITHOUT, WITH), (WITH, WITHOUT))[number % 2]:
                sample, runs = _half(site, fleet, case, number, runs)
                samples.append(sample)
    return samples


def _half(
    site: TimedSite, fleet: Fleet, case: str, number: int, former: list[AgentRun]
) -> tuple[dict[str, Any], list[AgentRun]]:
    fleet.write_round(1 + 2 * number + (case == WITH))
    site.start()
    fleet.delete_former(former[1:])
    site.wait_until_purged()
    site.stop()
    os.sync()  # the new content is no part of what is timed
    site.start(collects=case == WITH)
    cpu_before, begin_seconds, begin = site.cpu_seconds(), time.time(), time.perf_counter()
    runs = _backed_up(fleet, number)
    wall_seconds, end_seconds = time.perf_counter() - begin, time.time()
    cpu_seconds = site.cpu_seconds() - cpu_before
    site.stop()
    figures = figures_of(runs, wall_seconds)
    done = [one for one in site.notes("collection") if begin_seconds <= one["begin_seconds"] + one["seconds"]]
    return {
        "case": case,
        "round": number,
        "wall_seconds": round(wall_seconds, 3),
        "protected_bytes": figures["protected_bytes"],
        "agents_cpu_seconds": figures["agents_cpu_seconds"],
        "vault_cpu_seconds": round(cpu_seconds, 2),
        "collecting_share": round(site.collecting_share(begin_seconds, end_seconds), 3),
        "collections_begun": len(done),
        "records_dropped": sum(one["dropped"] for one in done),
        "containers_moved": sum(one["moved"] for one in done),
        "copied_bytes": int(sum(one["copied"] for one in done)),
    }, runs


def _backed_up(fleet: Fleet, number: int) -> list[AgentRun]:
    with PeakMemory() as memory:
        runs = fleet.run_round(number, memory)
    if not all(one.is_good for one in runs):
        raise RuntimeError(f"an agent failed: {[one.summary for one in runs if not one.is_good]}")
    return runs
