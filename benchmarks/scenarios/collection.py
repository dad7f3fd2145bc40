"""How fast a keyring with ten million chunks is marked and swept, and what memory that takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.load.timed_site import TimedSite

IDS = 10_000_000
STEPS = {"marked": "mark", "swept": "sweep"}


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """Each round is a process of its own, so that no step finds memory that another one left."""
    site = TimedSite(directory / "site")
    site.fill(IDS, seed)
    words = [sys.executable, "-m", "benchmarks.load.marking", str(site.vault)]
    samples = []
    for number in range(rounds):
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=of_ours())
        samples += [sample_of(json.loads(line), number) for line in done.stdout.splitlines()]
    return samples


def sample_of(told: dict[str, Any], number: int) -> dict[str, Any]:
    step = told.pop("step")
    return {"case": STEPS[step], "round": number, **told}
