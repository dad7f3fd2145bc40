"""Thirty-two agents at once against one vault, as `python -m benchmarks.fleet` drives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import fleet

AGENTS = 32
AGENT_BYTES = 16 << 20


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    words = ["--agents", str(AGENTS), "--bytes-per-agent", str(AGENT_BYTES), "--seed", str(seed)]
    figures = fleet.run(fleet.parse([*words, "--rounds", str(rounds)]), directory)
    return [{"case": f"{AGENTS} agents", **figures}]
