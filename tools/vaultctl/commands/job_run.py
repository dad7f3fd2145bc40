"""`vaultctl job run` and `cancel`: asks a computer's agent for a run, follows it, ends it."""

import time
from collections.abc import Iterator
from functools import partial

import click

from protocol.messages.job import JobRequestAnswer
from protocol.messages.run import RunProgress, RunSummary
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import EXIT_FAILED, EXIT_OK, EXIT_WARNINGS
from tools.client.output import Output
from tools.client.program import Command
from tools.client.progress import Figures, Progress
from tools.client.tables import fields_text
from tools.client.units import count_text, size_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.listing import run_duration
from tools.vaultctl.polling import answers_until_end

_SECOND_NS = 1_000_000_000

_START = "the run starts at once if its agent's service is up, else with its next `backup`"
_EXIT_CODES = {"done": EXIT_OK, "warnings": EXIT_WARNINGS}
_NOTES = {
    "waiting": "waiting for the agent of {computer}: {start}",
    "running": "the run has begun",
}
_CANCELLED = {
    (True, False): "The request is taken back; nothing had begun.",
    (False, True): "The run is aborted.",
    (True, True): "The run is aborted, and the request that waited behind it taken back.",
}


@click.command("run", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--wait", is_flag=True, help="Show how far the run is until its end, and exit as it did.")
@click.pass_context
def run(ctx: click.Context, computer: str, job: str, *, wait: bool) -> int:
    """Asks for a run. It starts at once if its agent's service is up, else with the agent's next `backup`."""
    output = output_of(ctx)
    request = ask_vault(ctx, partial(calls.run_job, computer=computer, job=job)).request
    if not wait:
        output.show(
            {"computer": computer, "job": job, "request": request},
            lambda: f"A run is asked for: {_START}.",
        )
        return EXIT_OK
    ask = partial(calls.job_request, computer=computer, job=job, request=request)
    answers = answers_until_end(lambda: ask_vault(ctx, ask), lambda answer: answer.state, time.sleep)
    with Progress(output) as progress:
        end = follow(answers, output, progress, computer)
    return show_end(output, end)


@click.command("cancel", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.pass_context
def cancel(ctx: click.Context, computer: str, job: str) -> None:
    """Ends a run that goes on, as aborted, and takes back one that is asked for.

    The vault takes nothing more of the run, also where its agent cannot be reached; one that is connected stops.
    """
    done = ask_vault(ctx, partial(calls.cancel_job, computer=computer, job=job))
    output_of(ctx).show(
        {"computer": computer, "job": job, "request": done.request, "run": done.run},
        lambda: _CANCELLED[done.request, done.run],
    )


def follow(answers: Iterator[JobRequestAnswer], output: Output, progress: Progress, computer: str) -> JobRequestAnswer:
    """Tells each new state, and how far the run is whenever its agent told the vault anew; returns the end."""
    state, told = "", None
    for answer in answers:
        if answer.state != state and answer.state in _NOTES:
            output.note(_NOTES[answer.state].format(computer=computer, start=_START))
            output.line({"type": "status", "state": answer.state})
            if answer.run is not None:
                progress.began(answer.run.begin_ns / _SECOND_NS)
        if answer.progress != told:
            show_progress(progress, answer.progress)
        state, told = answer.state, answer.progress
    return answer


def show_progress(progress: Progress, told: RunProgress | None) -> None:
    """None where the vault knows it no more: the agent's connection is gone, or the vault began anew."""
    if told is None:
        progress.clear()
    else:
        figures = Figures("backing up", told.files, told.bytes, told.bytes_total)
        progress.update(figures, told.time_ns / _SECOND_NS)


def show_end(output: Output, answer: JobRequestAnswer) -> int:
    """The run's summary and the exit code that says how it ended."""
    if answer.run is None:
        output.note(f"the request ended as `{answer.state}` without a run")
        output.line({"type": "summary", "outcome": answer.state})
        return EXIT_FAILED
    found = answer.run
    output.show({"type": "summary", **document_of(found)}, lambda: fields_text(_fields(found)))
    return _EXIT_CODES.get(found.outcome, EXIT_FAILED)


def _fields(run: RunSummary) -> list[tuple[str, str]]:
    return [
        ("outcome", run.outcome),
        ("safeset", str(run.sequence) if run.sequence else "-"),
        ("duration", run_duration(run)),
        ("files", count_text(run.files)),
        ("new chunks", f"{count_text(run.new_chunks)} ({size_text(run.new_bytes)})"),
        ("warnings", count_text(run.warnings)),
    ]
