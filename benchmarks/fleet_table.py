"""The table of the scenario `agents`: what both sides made of many agents at once."""

from __future__ import annotations

from typing import Any

MIB = 1 << 20
LAG_SECONDS_MAX = 0.05


def fleet_rows(sample: dict[str, Any]) -> list[str]:
    """Lines of markdown."""
    load, runs, commits = sample["load"], sample["run_seconds"], sample["commit_seconds"]
    lag, loop = (1000 * sample[f"event_loop_{what}_seconds_max"] for what in ("lag", "cpu"))
    agents = f"{load['agents']} agents, {load['bytes_per_agent'] / MIB:.0f} MiB each, {load['shared_percent']} % shared"
    verdict = "met" if lag <= 1000 * LAG_SECONDS_MAX else "missed"
    figures = [
        ("load", f"{agents}, {load['rounds']} rounds"),
        ("runs, errors", f"{sample['runs']}, {len(sample['errors'])}"),
        ("protected MiB per second", f"{sample['protected_bytes_per_second'] / MIB:.0f}"),
        ("seconds of a run: p50, p95, p99", shown(runs, 1)),
        ("milliseconds of a commit at the vault: p50, p95, p99", shown(commits, 1000)),
        (
            f"longest time that the event loop kept others waiting (at most {1000 * LAG_SECONDS_MAX:.0f} ms)",
            f"{lag:.0f} ms, {verdict}",
        ),
        ("of it the loop's own processor time, at most", f"{loop:.0f} ms"),
        ("CPU s agents / vault", f"{sample['agents_cpu_seconds']:.1f} / {sample['vault_cpu_seconds']:.1f}"),
        ("peak anonymous MiB, one agent / vault", " / ".join(peaks(sample))),
    ]
    return ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in figures)]


def shown(found: dict[str, float], factor: int) -> str:
    return ", ".join(f"{factor * found[name]:.1f}" for name in ("p50", "p95", "p99"))


def peaks(sample: dict[str, Any]) -> list[str]:
    return [f"{sample[name] / MIB:.0f}" for name in ("agent_peak_anonymous_bytes", "vault_peak_anonymous_bytes")]
