"""The tables of the scenarios about keeping house: `collection`, `held`, `collecting`, `given_back` and `scrub`.

Whether a goal is met is said from the raw samples.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.judge import MET, MISSED
from benchmarks.load.figures import percentile

MIB, GB = 1 << 20, 1_000_000_000
MARKED_EACH_SECOND_MIN = 3_000_000
COLLECTION_BYTES_MAX = 200 * MIB  # above what the process had before
HELD_SECONDS_MAX = 0.02
LOSS_PERCENT_MAX = 20
GIVEN_BACK_PERCENT_MIN = 95
SCRUBBED_GB_EACH_SECOND_MIN = 2
WITHOUT, WITH = "without collections", "beside collections"

Cases = dict[str, list[dict[str, Any]]]


def collection_rows(cases: Cases) -> list[str]:
    """Lines of markdown, here and below. The median of the speeds counts, and the highest peak."""
    lines = [
        "| step | ids | rounds | wall s (median, min-max) | CPU s | ids a second | peak MiB above what it had before "
        "| verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, samples in cases.items():
        rate = median(one["ids"] / one["wall_seconds"] for one in samples)
        peak = max(one["vault_peak_anonymous_bytes"] - one["before_anonymous_bytes"] for one in samples)
        told = f"memory {verdict(is_met=peak <= COLLECTION_BYTES_MAX)} (at most {COLLECTION_BYTES_MAX // MIB} MiB)"
        if case == "mark":
            is_fast = rate >= MARKED_EACH_SECOND_MIN
            told = f"{verdict(is_met=is_fast)} ({MARKED_EACH_SECOND_MIN:,} a second), {told}"
        lines.append(
            f"| {case} | {samples[0]['ids']:,} | {len(samples)} | {spread(walls(samples))} "
            f"| {median(one['vault_cpu_seconds'] for one in samples):.1f} | {rate:,.0f} | {peak / MIB:.0f} "
            f"| {told} |"
        )
    return lines


def held_rows(cases: Cases) -> list[str]:
    """Of all commits of all rounds together; the longest is held against the bound."""
    lines = [
        "| load | chunks | commits | ms held: p50 | p99 | longest | above the bound "
        "| ms of processor time in it: p50 | longest "
        f"| longest (below {1000 * HELD_SECONDS_MAX:.0f} ms) | of the time a collection went on |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, samples in cases.items():
        held = [seconds for one in samples for seconds in one["held_seconds"]]
        cpu = [seconds for one in samples for seconds in one["cpu_seconds"]]
        p50, p99, longest = (1000 * seconds for seconds in (percentile(held, 50), percentile(held, 99), max(held)))
        above = sum(seconds >= HELD_SECONDS_MAX for seconds in held)
        told = verdict(is_met=max(held) < HELD_SECONDS_MAX)
        lines.append(
            f"| {case} | {samples[0]['chunks']:,} | {len(held):,} | {p50:.1f} | {p99:.1f} | {longest:.1f} | {above:,} "
            f"| {1000 * percentile(cpu, 50):.1f} | {1000 * max(cpu):.1f} "
            f"| {told} | {100 * median(one['collecting_share'] for one in samples):.0f} % |"
        )
    return lines


def collecting_rows(cases: Cases) -> list[str]:
    """The loss is of the two halves of each round, and the median of the losses counts."""
    lines = [
        "| backups | rounds | protected MiB a second (median, min-max) | CPU s agents / vault "
        "| of the time a collection went on | records dropped | containers moved | MiB copied |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, samples in cases.items():
        cpu = " / ".join(f"{median(one[f'{side}_cpu_seconds'] for one in samples):.1f}" for side in ("agents", "vault"))
        lines.append(
            f"| {case} | {len(samples)} | {spread([each_second(one) / MIB for one in samples], 0)} | {cpu} "
            f"| {100 * median(one['collecting_share'] for one in samples):.0f} % "
            f"| {sum(one['records_dropped'] for one in samples):,} "
            f"| {sum(one['containers_moved'] for one in samples):,} "
            f"| {sum(one['copied_bytes'] for one in samples) / MIB:.0f} |"
        )
    losses = [loss_percent(*pair) for pair in pairs(cases)]
    told = verdict(is_met=median(losses) < LOSS_PERCENT_MAX)
    return [*lines, "", f"Lost in a round: {spread(losses, 1)} % (below {LOSS_PERCENT_MAX} %), {told}."]


def pairs(cases: Cases) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Of the same round."""
    without = {one["round"]: one for one in cases[WITHOUT]}
    return [(without[one["round"]], one) for one in cases[WITH]]


def loss_percent(without: dict[str, Any], beside: dict[str, Any]) -> float:
    return 100 * (1 - each_second(beside) / each_second(without))


def each_second(sample: dict[str, Any]) -> float:
    return float(sample["protected_bytes"] / sample["wall_seconds"])


def given_back_rows(cases: Cases) -> list[str]:
    """What was dead is what is there and not in the vault that only has what is live."""
    ((sample,),) = cases.values()
    dead_bytes = sample["before_bytes"] - sample["live_bytes"]
    given_back_bytes = sample["before_bytes"] - sample["after_bytes"]
    percent = 100 * given_back_bytes / dead_bytes
    told = verdict(is_met=percent > GIVEN_BACK_PERCENT_MIN)
    figures = [
        ("load", sample["case"]),
        ("MiB of containers before, after", f"{sample['before_bytes'] / MIB:,.1f}, {sample['after_bytes'] / MIB:,.1f}"),
        ("MiB of a vault that only has what is live", f"{sample['live_bytes'] / MIB:,.1f}"),
        ("MiB dead, given back", f"{dead_bytes / MIB:,.1f}, {given_back_bytes / MIB:,.1f}"),
        (f"given back of what was dead (above {GIVEN_BACK_PERCENT_MIN} %)", f"{percent:.1f} %, {told}"),
        ("collections, containers moved", f"{sample['collections']}, {sample['containers_moved']:,}"),
    ]
    return ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in figures)]


def scrub_rows(cases: Cases) -> list[str]:
    lines = [
        "| stored | rounds | GiB | wall s (median, min-max) | vault CPU s | GB a second of wall "
        f"| GB a second of processor time (at least {SCRUBBED_GB_EACH_SECOND_MIN}) |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, samples in cases.items():
        wall, core = (
            median(one["bytes"] / GB / one[what] for one in samples) for what in ("wall_seconds", "vault_cpu_seconds")
        )
        cpu = median(one["vault_cpu_seconds"] for one in samples)
        told = verdict(is_met=core >= SCRUBBED_GB_EACH_SECOND_MIN)
        lines.append(
            f"| {case} | {len(samples)} | {samples[0]['bytes'] / (1 << 30):.1f} | {spread(walls(samples))} | {cpu:.2f} "
            f"| {wall:.2f} | {core:.2f}, {told} |"
        )
    return lines


def walls(samples: list[dict[str, Any]]) -> list[float]:
    return [one["wall_seconds"] for one in samples]


def spread(values: list[float], digits: int = 2) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def verdict(*, is_met: bool) -> str:
    return MET if is_met else MISSED


HOUSE_ROWS = {
    "collection": collection_rows,
    "held": held_rows,
    "collecting": collecting_rows,
    "given_back": given_back_rows,
    "scrub": scrub_rows,
}
