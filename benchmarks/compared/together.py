"""Many agents at once, half of what they send is the same: one keyring for ours, one repository for restic.

borg lets one agent at a time into a repository and takes no part. Making so many agents takes a minute, so that the
round that counts is left out where all must take no more than a quarter of an hour.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.random_file import write_random_file
from benchmarks.rounds import Contest, Phase, run_settled
from benchmarks.tools.tool import Sample, Tool

TOOLS = ("safeset", "restic")


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    sources = [directory / "data" / f"pc-{agent:02d}" for agent in range(scale.agents)]

    def prepare(number: int) -> None:
        write_halves(sources, scale.agent_bytes // 2, seed + number * (1 + len(sources)))

    def together(tool: Tool, case: str, number: int) -> Sample:
        return tool.backup_together(case, number, sources)

    phase = Phase(f"{scale.agents} agents", together, sources, prepare)
    return run_settled(Contest(directory, TOOLS, rounds, is_extra=scale.name != "bench"), [], [phase])


def write_halves(sources: list[Path], half_bytes: int, seed: int) -> None:
    """Contents that nobody has stored yet: one half is the same for all, the other is everybody's own."""
    for agent, source in enumerate(sources):
        source.mkdir(parents=True, exist_ok=True)
        write_random_file(source / "own", half_bytes, seed + 1 + agent)
        if agent == 0:
            write_random_file(source / "shared", half_bytes, seed)
        else:
            shutil.copyfile(sources[0] / "shared", source / "shared")
