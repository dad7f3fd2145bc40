"""What the runs of a fleet come to. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AgentRun:
    """One `vault-agent backup`. `summary` is its last line; empty where it printed none."""

    agent: int
    round_number: int
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_anonymous_bytes: int
    summary: dict[str, Any]

    @property
    def is_good(self) -> bool:
        return self.exit_code == 0


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of them are not above (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def spread(values: Sequence[float]) -> dict[str, float | int] | None:
    """None where there is nothing to say."""
    if not values:
        return None
    figures = {"min": min(values), "max": max(values)}
    figures |= {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)}
    return {"count": len(values), **{name: round(value, 4) for name, value in figures.items()}}


def figures_of(runs: Sequence[AgentRun], wall_seconds: float) -> dict[str, Any]:
    """`wall_seconds`: the time of all rounds, one after another, each until its last agent ended.

    Throughput is of bytes that are protected: what good runs backed up, whether it had to be sent or not.
    """
    good = [run for run in runs if run.is_good]
    protected_bytes = sum(run.summary["protected_bytes"] for run in good)
    return {
        "runs": len(runs),
        "errors": [
            {"agent": run.agent, "round": run.round_number, "exit_code": run.exit_code, "message": message_of(run)}
            for run in runs
            if not run.is_good
        ],
        "wall_seconds": round(wall_seconds, 3),
        "protected_bytes": protected_bytes,
        "uploaded_bytes": sum(run.summary["uploaded_bytes"] for run in good),
        "protected_bytes_per_second": round(protected_bytes / wall_seconds),
        "run_seconds": spread([run.wall_seconds for run in good]),
        "agents_cpu_seconds": round(sum(run.cpu_seconds for run in runs), 2),
        "agent_peak_anonymous_bytes": max((run.peak_anonymous_bytes for run in runs), default=0),
    }


def message_of(run: AgentRun) -> str:
    return str(run.summary.get("message") or f"exit code {run.exit_code}, warnings {run.summary.get('warnings')}")
