"""Trees: small files of words, and a copy of /usr/share; first, unchanged, restored, with 1 % of the files changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.changed_tree import change_tree
from benchmarks.data.share import copy_share
from benchmarks.data.small_files import write_small_files
from benchmarks.rounds import Contest, Phase, backup_of, restore_of, run_fresh, run_settled

TOOLS = ("safeset", "restic", "borg")
VERSIONS = 12


def run_small_files(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    write_small_files(directory / "data", scale.small_files, seed)
    return run_tree(directory, seed, rounds)


def run_share(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    copy_share(directory / "data", scale.share_files)
    return run_tree(directory, seed, rounds)


def run_tree(directory: Path, seed: int, rounds: int) -> dict[str, Any]:
    data = directory / "data"
    phases = [
        backup_of(data, "first"),
        backup_of(data, "unchanged"),
        restore_of(data, "restore", directory),
        backup_of(data, "1 % changed", lambda number: change_tree(data, seed + number, 1 + number)),
    ]
    return run_fresh(Contest(directory, TOOLS, rounds), phases)


def run_versions(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    """Twelve backups with 1 % of the files changed before each, then the last one is restored."""
    data = directory / "data"
    write_small_files(data, scale.version_files, seed)

    def change(step: int) -> None:
        if step:
            change_tree(data, seed + step, step)

    def next_version(step: int) -> Phase:
        phase = backup_of(data, f"version {1 + step}", lambda number: change(step))
        return replace(phase, is_recorded=step in (0, VERSIONS - 1))

    restore = restore_of(data, "restore of version 12", directory)
    return run_settled(Contest(directory, TOOLS, rounds), [next_version(step) for step in range(VERSIONS)], [restore])
