"""Tables of what was compared: a row for each tool that should have taken part, and one for each target."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.judge import Outcome, Sample, added_bytes, cpu_seconds, stored_bytes, wall_seconds
from benchmarks.targets import OURS, TARGETS

MIB, GB = 1 << 20, 10**9
NOT_MEASURED = "not measured yet"
HEAD = (
    "| case | tool | suite, compression | rounds | wall s (median, min-max) | CPU s agent + vault | CPU s per GB "
    "| peak anonymous MiB agent / vault | stored MiB (by this) | sent MiB | round trips | syncs agent / vault "
    "| best peer's wall over ours (median, min-max) | target | verdict |"
)


def compared_rows(result: dict[str, Any]) -> list[str]:
    """Lines of markdown. Errors: ForeignSample."""
    outcome = Outcome(result)
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for case in outcome.cases:
        lines += [row(outcome, case, tool) for tool in outcome.tools]
    lines += bound_rows(outcome)
    if outcome.missing:
        lines += ["", f"Missing on that machine, so without figures: {', '.join(outcome.missing)}."]
    scale = f"Scale: {result['scale']}, {size_of(result['samples'])}."
    return [*lines, "", scale, "", *durabilities(result["samples"])]


def size_of(samples: Iterable[Sample]) -> str:
    first = next(iter(samples))
    return f"{first['source_bytes'] / MIB:,.0f} MiB in the first case"


def row(outcome: Outcome, case: str, tool: str) -> str:
    samples = outcome.samples(case, tool)
    if not samples:
        return f"| {case} | {tool} | missing |" + " - |" * (HEAD.count("|") - 4)
    last, counted = samples[-1], outcome.counted(case, tool)
    cells = [
        case,
        tool,
        f"{last['suite']}; {last['compression']}",
        str(len(samples)),
        spread([wall_seconds(sample) for sample in samples]),
        " + ".join(f"{median(sample[f'{side}_cpu_seconds'] for sample in samples):.1f}" for side in ("agent", "vault")),
        per_gb(samples),
        peaks(samples),
        stored(samples),
        f"{counted['bytes_sent'] / MIB:.1f}" if "bytes_sent" in counted else "-",
        f"{counted['round_trips']:,}" if "round_trips" in counted else "-",
        f"{counted['agent_syncs']:,} / {counted['vault_syncs']:,}" if "agent_syncs" in counted else "-",
        *judged(outcome, case, tool),
    ]
    return f"| {' | '.join(cells)} |"


def judged(outcome: Outcome, case: str, tool: str) -> list[str]:
    """Ratio, target and verdict; of ours only."""
    if tool not in OURS:
        return ["-", "-", "-"]
    against = outcome.slowness(case, tool)
    target = TARGETS.get((outcome.scenario, case, OURS[tool]))
    ratio = f"{spread(against.paired)} {against.peer}" if against else "-"
    return [ratio, f"{target.ratio:.1f}" if target else "-", outcome.verdict(case, tool) or "-"]


def per_gb(samples: list[Sample]) -> str:
    """Nothing where a start of the program is more than the bytes."""
    if samples[-1]["source_bytes"] < MIB:
        return "-"
    return f"{median(cpu_seconds(sample) * GB / sample['source_bytes'] for sample in samples):.1f}"


def stored(samples: list[Sample]) -> str:
    total, added = (median(figure(sample) for sample in samples) / MIB for figure in (stored_bytes, added_bytes))
    return f"{total:.1f} ({added:.1f})"


def peaks(samples: list[Sample]) -> str:
    agent, vault = (
        max(sample[f"{side}_peak_anonymous_bytes"] for sample in samples) / MIB for side in ("agent", "vault")
    )
    return f"{agent:.0f} / {vault:.0f}"


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def bound_rows(outcome: Outcome) -> list[str]:
    lines = ["", "| case | tool | what is bounded | figure | verdict |", "|---|---|---|---|---|"]
    for case in outcome.cases:
        for tool in outcome.tools:
            if tool in OURS and outcome.samples(case, tool):
                lines += [f"| {case} | {tool} | {' | '.join(bound)} |" for bound in outcome.bounds(case, tool)]
    return lines if len(lines) > 3 else []


def durabilities(samples: list[Sample]) -> list[str]:
    said: dict[str, list[str]] = {}
    for sample in samples:
        tools = said.setdefault(sample["durability"], [])
        if sample["tool"] not in tools:
            tools.append(sample["tool"])
    return ["Durability: " + "; ".join(f"{', '.join(tools)}: {words}" for words, tools in said.items()) + "."]


def target_rows(results: dict[str, dict[str, Any]]) -> list[str]:
    """All targets; `results` by scenario, those that there are."""
    lines = [
        "| scenario | case | suite | target | dream | scale | best peer's wall over ours | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    outcomes = {name: Outcome(result) for name, result in results.items()}
    for (scenario, case, suite), target in TARGETS.items():
        tool = next(name for name, own in OURS.items() if own == suite)
        found = ["-", NOT_MEASURED, "-"]
        if scenario in outcomes and outcomes[scenario].samples(case, tool):
            ratio, _, verdict = judged(outcomes[scenario], case, tool)
            found = [results[scenario]["scale"], ratio, verdict]
        cells = [scenario, case, suite, f"{target.ratio:.1f}", f"{target.dream:.1f}", *found]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
