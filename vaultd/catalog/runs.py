"""Runs of a job in their order, which one is active, and the runs that people asked for."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import number_key, put, read
from vaultd.records import NO_ID, Change, Outcome, Run


def save_run(run: Run) -> list[Change]:
    """The run, its place in the order, and whether it is the job's active one."""
    job_key = run.account_id + run.job_id
    changes: list[Change] = [
        *update_run(run),
        ("run_numbers", job_key + number_key(run.number), run.run_id),
        ("active_runs", job_key, run.run_id if run.outcome is Outcome.RUNNING else None),
    ]
    if run.request:
        changes.append(("run_requests", job_key + number_key(run.request), run.run_id))
    return changes


def update_run(run: Run) -> list[Change]:
    """For a run that stays active."""
    return [put("runs", run.account_id + run.run_id, run)]


def read_run(view: View, account_id: bytes, run_id: bytes) -> Run | None:
    return read(view, "runs", account_id + run_id, Run)


def active_run(view: View, account_id: bytes, job_id: bytes) -> Run | None:
    run_id = view.get("active_runs", account_id + job_id)
    return None if run_id is None else read_run(view, account_id, run_id)


def list_active_runs(view: View, account_id: bytes = b"") -> Iterator[Run]:
    """Of an account, or of all."""
    for key, run_id in view.scan("active_runs", account_id):
        run = read_run(view, key[: len(NO_ID)], run_id)
        if run is not None:
            yield run


def requested_run(view: View, account_id: bytes, job_id: bytes, request: int) -> Run | None:
    """The run that began because of this request."""
    run_id = view.get("run_requests", account_id + job_id + number_key(request))
    return None if run_id is None else read_run(view, account_id, run_id)


def list_runs_back(view: View, account_id: bytes, job_id: bytes) -> Iterator[Run]:
    """Runs of the job, newest first."""
    for _, run_id in view.scan_back("run_numbers", account_id + job_id):
        run = read_run(view, account_id, run_id)
        if run is not None:
            yield run
