"""What the runs of a fleet come to, against figures computed by hand."""

from __future__ import annotations

from benchmarks.load.figures import AgentRun, figures_of, percentile, spread
from benchmarks.load.vault_watch import metric, request_seconds


def run(agent: int, wall_seconds: float, exit_code: int = 0, summary: dict | None = None) -> AgentRun:
    told = {"protected_bytes": 1000, "uploaded_bytes": 400} if summary is None else summary
    return AgentRun(agent, 0, exit_code, wall_seconds, 0.5, 1000 + agent, told)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(20, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 95, 99)] == [10.0, 19.0, 20.0]
    assert percentile([7.0], 50) == 7.0


def test_a_spread_of_nothing_is_none() -> None:
    assert spread([]) is None
    assert spread([2.0, 1.0]) == {"count": 2, "min": 1.0, "max": 2.0, "p50": 1.0, "p95": 2.0, "p99": 2.0}


def test_throughput_is_the_sum_of_good_runs_over_the_wall_time() -> None:
    failed = run(2, 9.0, 8, {"type": "error", "message": "the vault is away"})
    figures = figures_of([run(0, 1.0), run(1, 3.0), failed], wall_seconds=4.0)
    assert (figures["protected_bytes"], figures["uploaded_bytes"]) == (2000, 800)
    assert figures["protected_bytes_per_second"] == 500
    assert (figures["run_seconds"]["min"], figures["run_seconds"]["max"]) == (1.0, 3.0)
    assert figures["errors"] == [{"agent": 2, "round": 0, "exit_code": 8, "message": "the vault is away"}]
    assert (figures["agents_cpu_seconds"], figures["agent_peak_anonymous_bytes"]) == (1.5, 1002)


def test_a_run_with_warnings_is_an_error_of_the_fleet() -> None:
    (error,) = figures_of([run(0, 1.0, 3, {"warnings": 2})], 1.0)["errors"]
    assert error["message"] == "exit code 3, warnings 2"


def test_commit_times_are_those_of_good_requests_in_the_log() -> None:
    log = """not json
{"method": "safeset.commit", "code": "ok", "seconds": 0.25, "event": "request"}
{"method": "safeset.commit", "code": "conflict", "seconds": 9, "event": "request"}
{"method": "chunk.offer", "code": "ok", "seconds": 1, "event": "request"}
"half a line
{"method": "safeset.commit", "code": "ok", "seconds": 0.5, "event": "request"}
"""
    assert request_seconds(log, "safeset.commit") == [0.25, 0.5]


def test_a_metric_is_read_by_its_whole_name() -> None:
    page = "# HELP vault_lag longest\nvault_lag_more 3.0\nvault_lag 0.5\n"
    assert metric(page, "vault_lag") == 0.5
