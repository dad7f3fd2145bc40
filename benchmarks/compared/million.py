"""A million small files: first, unchanged, and one of them restored by an agent without caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.million_files import million_path, write_million
from benchmarks.rounds import Contest, backup_of, cold_restore_of, run_settled

TOOLS = ("safeset", "restic", "borg")


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    data = directory / "data"
    write_million(data, scale.million_files, seed)
    one = million_path(data, scale.million_files // 2)
    phases = [backup_of(data, "unchanged"), cold_restore_of(one, "one file, cold", directory)]
    return run_settled(Contest(directory, TOOLS, rounds, is_traced=False), [backup_of(data, "first")], phases)
