"""What is said of many agents, against figures that were worked out by hand."""

import pytest

from benchmarks.fleet_table import fleet_rows

MIB = 1 << 20
SAMPLE = {
    "case": "32 agents",
    "load": {"agents": 32, "bytes_per_agent": 16 * MIB, "shared_percent": 50, "rounds": 2, "seed": 1},
    "runs": 64,
    "errors": [],
    "protected_bytes_per_second": 57 * MIB,
    "run_seconds": {"p50": 8.0, "p95": 9.0, "p99": 9.5},
    "commit_seconds": {"p50": 0.04, "p95": 0.07, "p99": 0.2},
    "event_loop_lag_seconds_max": 0.05,
    "event_loop_cpu_seconds_max": 0.007,
    "agents_cpu_seconds": 12.3,
    "vault_cpu_seconds": 1.7,
    "agent_peak_anonymous_bytes": 84 * MIB,
    "vault_peak_anonymous_bytes": 111 * MIB,
}


def test_all_figures_have_their_unit() -> None:
    rows = fleet_rows(SAMPLE)
    assert "| load | 32 agents, 16 MiB each, 50 % shared, 2 rounds |" in rows
    assert "| runs, errors | 64, 0 |" in rows
    assert "| seconds of a run: p50, p95, p99 | 8.0, 9.0, 9.5 |" in rows
    assert "| milliseconds of a commit at the vault: p50, p95, p99 | 40.0, 70.0, 200.0 |" in rows
    assert "| peak anonymous MiB, one agent / vault | 84 / 111 |" in rows


@pytest.mark.parametrize(("seconds", "told"), [(0.05, "50 ms, met"), (0.051, "51 ms, missed")], ids=["met", "missed"])
def test_the_loop_keeps_nobody_waiting_longer_than_its_bound(seconds: float, told: str) -> None:
    (row,) = [row for row in fleet_rows({**SAMPLE, "event_loop_lag_seconds_max": seconds}) if "event loop" in row]
    assert row.endswith(f"| {told} |")
