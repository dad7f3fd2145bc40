"""A small fleet with the real programs: what it does and what it says. Nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZE_BYTES = 4_000_000  # files below a mebibyte would be bundled, and what two agents have not be stored once


def fleet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.fleet", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_two_agents_at_a_vault_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = fleet(
        "--agents", 2, "--bytes-per-agent", SIZE_BYTES, "--shared-percent", 50,
        "--directory", tmp_path, "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert json.loads(done.stdout) == figures
    assert (figures["runs"], figures["errors"]) == (2, [])
    assert figures["protected_bytes"] == 2 * SIZE_BYTES
    assert figures["commit_seconds"]["count"] == 2
    assert figures["event_loop_lag_seconds_max"] > 0, figures["lag_problem"]
    assert figures["event_loop_cpu_seconds_max"] > 0
    assert figures["vault_peak_anonymous_bytes"] > 1 << 20
    assert figures["agent_peak_anonymous_bytes"] > 1 << 20
    # Of 8,000,000 bytes 2,000,000 are the same at both, and stored once.
    assert 6_000_000 < figures["stored_bytes"] < 6_500_000
    assert list(tmp_path.iterdir()) == [out], "nothing is left behind"


def test_a_vault_needs_its_administrators_context() -> None:
    done = fleet("--url", "https://127.0.0.1:1")
    assert done.returncode == 2
    assert "--url and --admin-context go together" in done.stderr
