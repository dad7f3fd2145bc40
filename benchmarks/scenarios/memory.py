"""Peak anonymous memory of agent and vault: a 4 GiB file, a directory of 1,000,000 entries."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.data.random_file import write_random_file
from benchmarks.scenarios.sample import sample
from benchmarks.site import Site

ENTRIES = 1_000_000


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del rounds  # a peak, once is enough
    return [big_file(directory / "big", seed), *many_entries(directory / "many")]


def big_file(directory: Path, seed: int) -> dict[str, Any]:
    (directory / "data").mkdir(parents=True)
    write_random_file(directory / "data" / "file", 4 << 30, seed)
    with Site(directory / "site") as site:
        site.create_job("big", directory / "data")
        done = sample("4 GiB file", 0, site.backup("big"))
    shutil.rmtree(directory)
    return done


def many_entries(directory: Path) -> list[dict[str, Any]]:
    data = directory / "data"
    data.mkdir(parents=True)
    for number in range(ENTRIES):
        (data / f"entry-{number:07d}").touch()
    with Site(directory / "site") as site:
        site.create_job("many", data)
        first = sample("1,000,000 entries first", 0, site.backup("many"))
        again = sample("1,000,000 entries unchanged", 0, site.backup("many"))
    shutil.rmtree(directory)
    return [first, again]
