"""The table of the scenario `hour`: collections without a pause under agents that back up changing data."""

from __future__ import annotations

from typing import Any


def hour_rows(sample: dict[str, Any]) -> list[str]:
    """Lines of markdown."""
    goals, deeds = sample["goals"], sample["deeds"]
    restored, meanwhile = sample["restored"], sample["meanwhile"]
    whole = min(sample["answered"]["collections"], sample["metered"]["collections"]) - len(sample["left"])

    def done(what: str) -> str:
        return f"{sum(one[what] for one in deeds):,}"

    def wrong(what: str) -> str:
        return f"{len(restored[what]) + len(meanwhile[what]):,}"

    figures = [
        ("agents, seconds", f"{sample['agents']}, {sample['seconds']:,.0f}"),
        ("runs, of them killed", f"{done('runs')}, {done('killed')}"),
        ("safesets deleted, brought back, pinned", f"{done('deleted')}, {done('undeleted')}, {done('pinned')}"),
        ("safesets purged", f"{sample['purged']:,}"),
        (f"finished collections (goal {goals['collections']:,})", f"{whole:,}"),
        (f"chunks dropped (goal {goals['chunks']:,})", f"{sample['chunks']:,}"),
        (f"containers moved (goal {goals['containers']:,})", f"{sample['metered']['containers']:,}"),
        ("live safesets restored and compared", f"{restored['safesets']:,} of {sample['live']:,}"),
        ("of them provisional", f"{restored['provisional']:,}"),
        ("files compared", f"{restored['files']:,}"),
        ("restored and compared meanwhile", f"{meanwhile['safesets']:,}, {meanwhile['provisional']:,} provisional"),
        ("files missing", wrong("missing")),
        ("files different, files that never were", f"{wrong('different')}, {wrong('extra')}"),
        ("restores that failed", wrong("failed")),
        ("findings of `vaultd check --read-data`", f"{len(sample['findings']):,}"),
    ]
    return ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in figures)]
