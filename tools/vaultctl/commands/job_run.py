"""`vaultctl job run`: asks a computer's agent for a run."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import click

from protocol.messages.job import JobRequestAnswer
from protocol.messages.run import RunSummary
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import EXIT_FAILED, EXIT_OK, EXIT_WARNINGS
from tools.client.output import Output
from tools.client.program import Command
from tools.client.tables import fields_text
from tools.client.units import count_text, size_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.listing import run_duration

POLL_FIRST_SECONDS = 0.5
POLL_LAST_SECONDS = 15.0
POLL_GROWTH = 1.5

_EXIT_CODES = {"done": EXIT_OK, "warnings": EXIT_WARNINGS}
_NOTES = {
    "waiting": "waiting for the agent of {computer}: the run starts with its next `backup`",
    "running": "the run has begun",
}


@click.command("run", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--wait", is_flag=True, help="Wait for the end of the run and exit as it did.")
@click.pass_context
def run(ctx: click.Context, computer: str, job: str, *, wait: bool) -> int:
    """Asks for a run, which starts with the agent's next `backup`."""
    output = output_of(ctx)
    request = ask_vault(ctx, partial(calls.run_job, computer=computer, job=job)).request
    if not wait:
        output.show(
            {"computer": computer, "job": job, "request": request},
            lambda: f"Run {request} is asked for; it starts with the agent's next `backup`.",
        )
        return EXIT_OK
    ask = partial(calls.job_request, computer=computer, job=job, request=request)
    for state in states_until_end(lambda: ask_vault(ctx, ask), time.sleep):
        if state.state in _NOTES:
            output.note(_NOTES[state.state].format(computer=computer))
            output.line({"type": "status", "state": state.state})
        else:
            return show_end(output, state)
    return EXIT_FAILED


def states_until_end(ask: Callable[[], JobRequestAnswer], sleep: Callable[[float], None]) -> Iterator[JobRequestAnswer]:
    """Each new state; the last one is the end.

    `ask` makes a connection of its own each time: a restart of the vault meanwhile is not the end of the run.
    """
    pause_seconds = POLL_FIRST_SECONDS
    last = ""
    while True:
        answer = ask()
        if answer.state != last:
            yield answer
            last = answer.state
        if last not in _NOTES:
            return
        sleep(pause_seconds)
        pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_LAST_SECONDS)


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
