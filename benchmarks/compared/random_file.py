"""Random bytes in one file, both suites and all peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.random_file import write_random_file
from benchmarks.rounds import Contest, backup_of, run_fresh

TOOLS = ("safeset", "safeset-gcm", "restic", "borg", "borg-serve")


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    data = directory / "data"
    data.mkdir()
    write_random_file(data / "random", scale.random_bytes, seed)
    return run_fresh(Contest(directory, TOOLS, rounds), [backup_of(data, "first")])
