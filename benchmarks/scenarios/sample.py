"""One backup of ours as a sample of a raw file."""

from __future__ import annotations

from typing import Any

from benchmarks.site import Backup


def sample(case: str, number: int, done: Backup) -> dict[str, Any]:
    return {
        "case": case,
        "round": number,
        "wall_seconds": round(done.agent.wall_seconds, 3),
        "agent_cpu_seconds": round(done.agent.cpu_seconds, 2),
        "vault_cpu_seconds": round(done.vault_cpu_seconds, 2),
        "agent_peak_anonymous_bytes": done.agent.peak_anonymous_bytes,
        "vault_peak_anonymous_bytes": done.vault_peak_anonymous_bytes,
        "uploaded_bytes": done.summary["uploaded_bytes"],
        "new_chunks": done.summary["new_chunks"],
        "files": done.summary["files"],
    }
