"""Where the time of a first backup over a long line goes: how long the way up carried nothing, and when that was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from benchmarks.compared.link import RATE_MBIT, ROUND_TRIPS_MS
from benchmarks.data.random_file import write_random_file
from benchmarks.line import Detour, Line
from benchmarks.network.proxy import BYTES_PER_SECOND_PER_MBIT
from benchmarks.site import Site

DATA_BYTES = 512 << 20
# What is said before the first bytes of a file, and after the last ones, is less than that.
WORDS_BYTES = 1 << 20


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    samples = []
    with Site(directory / "site") as site:
        port = int(site.url.rpartition(":")[2])
        for number in range(rounds):
            for round_trip_ms in ROUND_TRIPS_MS:
                name = f"job-{number}-{round_trip_ms}"
                data = directory / name
                data.mkdir()
                write_random_file(data / "random", DATA_BYTES, seed + 1000 * number + round_trip_ms)
                site.create_job(name, data)
                parts = over_line(site, port, name, Line(round_trip_ms, RATE_MBIT))
                samples.append({"case": f"{round_trip_ms} ms", "round": number, **parts})
                (data / "random").unlink()
    return samples


def over_line(site: Site, port: int, job: str, line: Line) -> dict[str, float]:
    """Seconds of one backup."""
    with Detour(port, line, site.directory / "counts") as detour:
        site.lead_to(detour.port)
        began = time.monotonic()
        done = site.backup(job)
    site.lead_to(port)
    told = json.loads((site.directory / "counts").read_text(encoding="utf-8"))
    return parts_of(told, began, done.agent.wall_seconds)


def parts_of(told: dict[str, Any], began: float, wall_seconds: float) -> dict[str, float]:
    """`told`: counts of the proxy. The parts are the whole together."""
    sent_bytes, gaps = told["bytes_up"], told["gaps_up"]
    before = sum(gap for _, gap, carried in gaps if carried < WORDS_BYTES)
    after = sum(gap for _, gap, carried in gaps if carried > sent_bytes - WORDS_BYTES)
    parts = {
        "started_seconds": told["begun_up"] - began,
        "asked_seconds": before,
        "sent_seconds": sent_bytes / (RATE_MBIT * BYTES_PER_SECOND_PER_MBIT),
        "not_filled_seconds": sum(gap for _, gap, _ in gaps) - before - after,
        "ended_seconds": after + began + wall_seconds - told["ended_up"],
    }
    return {"wall_seconds": round(wall_seconds, 3), **{name: round(value, 3) for name, value in parts.items()}}
