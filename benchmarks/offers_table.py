"""The table of the scenario `offers`: what an id costs, and how the vault's memory grows with its chunks."""

from __future__ import annotations

from statistics import linear_regression, median
from typing import Any

from benchmarks.compared_tables import spread
from benchmarks.judge import MET, MISSED
from benchmarks.targets import MIB, VAULT_BYTES_MAX

Sample = dict[str, Any]
MILLION = 1_000_000
CHUNKS_JUDGED = 10 * MILLION
HEAD = (
    "| case | ids | rounds | wall s (median, min-max) | ids per second | us per id: wall, CPU of agent, CPU of vault "
    "| peak anonymous MiB agent / vault | vault's peak with mapped pages, MiB | of them the index and the catalog |"
)


def offers_rows(cases: dict[str, list[Sample]], scale: str) -> list[str]:
    """Lines of markdown. Only the vault's memory is judged: no peer is asked anything of the kind."""
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|", *(row(case, samples) for case, samples in cases.items())]
    every = [sample for samples in cases.values() for sample in samples]
    lines += ["", "| what is bounded | figure | verdict |", "|---|---|---|", memory_row(every)]
    return [*lines, "", f"{slope(every)} Scale: {scale}."]


def row(case: str, samples: list[Sample]) -> str:
    ids = samples[0]["ids"]
    wall, agent, vault = (
        median(sample[name] for sample in samples)
        for name in ("wall_seconds", "agent_cpu_seconds", "vault_cpu_seconds")
    )
    cells = [
        case,
        f"{ids:,}",
        str(len(samples)),
        spread([sample["wall_seconds"] for sample in samples]),
        f"{ids / wall:,.0f}",
        ", ".join(f"{seconds * MILLION / ids:.2f}" for seconds in (wall, agent, vault)),
        f"{mib(samples, 'agent_peak_anonymous_bytes')} / {mib(samples, 'vault_peak_anonymous_bytes')}",
        mib(samples, "vault_peak_resident_bytes"),
        mib(samples, "vault_mapped_bytes"),
    ]
    return f"| {' | '.join(cells)} |"


def mib(samples: list[Sample], name: str) -> str:
    return f"{max(sample[name] for sample in samples) / MIB:.0f}"


def memory_row(samples: list[Sample]) -> str:
    """Of all that was done until so many chunks were there; open where they were fewer."""
    held = max(sample["held"] for sample in samples)
    peak = max(sample["vault_peak_anonymous_bytes"] for sample in samples)
    verdict = MET if held >= CHUNKS_JUDGED else "open, with fewer chunks"
    if peak > VAULT_BYTES_MAX:
        verdict = MISSED
    most = f"{VAULT_BYTES_MAX // MIB} MiB at {CHUNKS_JUDGED // MILLION} million chunks"
    return f"| peak anonymous memory of the vault (at most {most}) | {peak / MIB:.0f} MiB at {held:,} | {verdict} |"


def slope(samples: list[Sample]) -> str:
    """Of the line through the peaks of all samples; what storing and offering need at a time is in its start."""
    points = [(one["held"] / MILLION, one["vault_peak_anonymous_bytes"] / MIB) for one in samples]
    per_million, start = linear_regression(*zip(*points, strict=True))
    return f"Slope of the vault's peaks: {per_million:.1f} MiB for each million chunks, from {start:.0f} MiB on."
