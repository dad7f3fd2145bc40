"""Tables of computers, jobs and runs, which more than one command shows."""

from collections.abc import Sequence

from protocol.messages.computer import ComputerSummary
from protocol.messages.job import JobSummary
from protocol.messages.run import RunSummary
from tools.client.tables import Column, table_text
from tools.client.units import count_text, duration_text, size_text, time_text

_COMPUTER_COLUMNS = (
    Column("COMPUTER"),
    Column("KIND"),
    Column("JOBS", right=True),
    Column("LAST SEEN (UTC)"),
    Column("STATE"),
    Column("AGENT KEY"),
)
_JOB_COLUMNS = (
    Column("COMPUTER"),
    Column("JOB"),
    Column("NEWEST SAFESET", right=True),
    Column("LAST RUN (UTC)"),
    Column("OUTCOME"),
    Column("STATE"),
)
_RUN_COLUMNS = (
    Column("BEGIN (UTC)"),
    Column("DURATION", right=True),
    Column("OUTCOME"),
    Column("FILES", right=True),
    Column("NEW CHUNKS", right=True),
    Column("NEW", right=True),
    Column("WARNINGS", right=True),
    Column("SAFESET", right=True),
)


_NO_COMPUTER = "There is no computer: `vaultctl computer invite` makes a code for one."


def computers_text(computers: Sequence[ComputerSummary], empty: str = _NO_COMPUTER) -> str:
    rows = (
        (
            found.name,
            found.kind,
            count_text(found.jobs),
            time_text(found.last_seen_ns),
            computer_state(found),
            found.agent_key,
        )
        for found in computers
    )
    return table_text(_COMPUTER_COLUMNS, rows, empty)


def computer_state(computer: ComputerSummary) -> str:
    return "registered" if computer.removed_ns is None else f"removed {time_text(computer.removed_ns)}"


def jobs_text(jobs: Sequence[JobSummary]) -> str:
    rows = (
        (
            job.computer,
            job.name,
            str(job.head_sequence) if job.head_sequence else "-",
            time_text(job.last_run_ns),
            job.last_outcome or "-",
            job_state(job),
        )
        for job in jobs
    )
    return table_text(_JOB_COLUMNS, rows, "There is no job: `vaultctl job create COMPUTER JOB` makes one.")


def job_state(job: JobSummary) -> str:
    if job.removed_ns is not None:
        return f"removed {time_text(job.removed_ns)}"
    state = "run asked for" if job.run_requested else "ready"
    if not job.keyring_ready:
        state = "waits for its first run"
    return f"{state}, frozen" if job.frozen else state


def runs_text(runs: Sequence[RunSummary]) -> str:
    rows = (
        (
            time_text(run.begin_ns),
            run_duration(run),
            run.outcome or "-",
            count_text(run.files),
            count_text(run.new_chunks),
            size_text(run.new_bytes),
            count_text(run.warnings),
            str(run.sequence) if run.sequence else "-",
        )
        for run in runs
    )
    return table_text(_RUN_COLUMNS, rows, "There was no run yet.")


def run_duration(run: RunSummary) -> str:
    return duration_text((run.end_ns - run.begin_ns) / 1_000_000_000) if run.end_ns is not None else "-"
