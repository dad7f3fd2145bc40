"""Raw files of comparisons with figures that can be checked by hand."""

from __future__ import annotations

from typing import Any

SUITES = {"safeset": "aes-256-cbc", "safeset-gcm": "aes-256-gcm"}


def sample(tool: str, number: int, wall_seconds: float, case: str = "first", **more: Any) -> dict[str, Any]:
    return {
        "tool": tool,
        "case": case,
        "round": number,
        "suite": SUITES.get(tool, "theirs"),
        "compression": "some",
        "durability": "all is synced",
        "wall_seconds": wall_seconds,
        "agent_cpu_seconds": wall_seconds,
        "vault_cpu_seconds": 0.0,
        "agent_peak_anonymous_bytes": 100 << 20,
        "vault_peak_anonymous_bytes": 50 << 20,
        "source_bytes": 1_000_000_000,
        "stored_bytes": 500_000_000,
        "added_bytes": 500_000_000,
        **more,
    }


def raw_file(*samples: dict[str, Any], scenario: str = "random", **more: Any) -> dict[str, Any]:
    return {
        "scenario": scenario,
        "commit": "c0ffee",
        "versions": {},
        "machine": {"processor": "", "cores": 2},
        "start": "",
        "scale": "full",
        "tools": list(dict.fromkeys(one["tool"] for one in samples if "tool" in one)),
        "missing_peers": [],
        "samples": list(samples),
        "counted": [],
        **more,
    }
