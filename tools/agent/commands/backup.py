"""`vault-agent backup`: runs a job once, here or in the service where one is up."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import TYPE_CHECKING

import click
import trio

from protocol.messages import AgentJob, AgentJobsAnswer, AgentJobsRequest
from tools.agent.commands.context import output_of, state_of
from tools.agent.hit_files import tell_hit_files
from tools.agent.local.hand_over import hand_over
from tools.agent.local.orders import BackupOrder
from tools.agent.local_settings import load_local_settings
from tools.agent.missed import tell_missed
from tools.agent.run.agent import Agent, Attempts
from tools.agent.run.pace import Pace
from tools.agent.state import StateDirectory, lock_state
from tools.agent.vault.connection import ask_vault, collect_garbage_rarely
from tools.agent.vault.lost_connection import Patience, is_lost
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, INTERRUPTED, Failure, describe
from tools.client.offload import compute
from tools.client.output import Output
from tools.client.program import Command
from tools.client.progress import Figures, Progress
from tools.client.question import Question
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, elapsed_text, files_text, size_text

if TYPE_CHECKING:
    from tools.agent.run.backup import Tell
    from tools.agent.run.run_end import Done
    from tools.agent.scan.scan_figures import ScanFigures

# Scan, cache and upload are loaded while the connection is being made, which mostly waits: loaded before it, they would
# keep the vault's first byte waiting.
_ROOM = "tools.agent.run.backup"

BackUp = Callable[[Agent, AgentJob, "Tell"], Awaitable["Done"]]
_JOBS = Question("agent.jobs", AgentJobsRequest(), AgentJobsAnswer)


@click.command("backup", cls=Command)
@click.argument("job")
@click.pass_context
def command(ctx: click.Context, job: str) -> int:
    """Runs JOB now and makes its next safeset. Exit code 3: done, but some files could not be read."""
    output, state = output_of(ctx), state_of(ctx)
    state.load_identity()
    exit_code = hand_over(state.path, BackupOrder(job=job, json=output.json), output)
    if exit_code is not None:
        return exit_code
    with lock_state(state):
        return back_up_named(output, state, job)


def back_up_named(output: Output, state: StateDirectory, name: str) -> int:
    """The caller holds the lock of the state directory, here and below."""

    def is_it(job: AgentJob) -> bool:
        return job.name == name

    exit_code = _back_up(output, state, is_it)
    if exit_code is None:
        raise _no_job(state, name)
    return exit_code


def back_up_asked(output: Output, state: StateDirectory, job_id: bytes) -> int:
    """Where it is not asked for any more, there is nothing to do."""

    def is_it(job: AgentJob) -> bool:
        return job.job_id == job_id and job.run_requested

    exit_code = _back_up(output, state, is_it, is_asked=True)
    return EXIT_OK if exit_code is None else exit_code


def _back_up(
    output: Output, state: StateDirectory, is_it: Callable[[AgentJob], bool], *, is_asked: bool = False
) -> int | None:
    """None where the vault has no such job of this computer; the one that was found once is gone on with. `is_asked`:
    what is said is for the service's log, and names the job.
    """
    start = time.monotonic()
    collect_garbage_rarely()
    identity = state.load_identity()
    pace = Pace(load_local_settings(state.path).contents_bytes)

    chosen: dict[bytes, str] = {}
    finished: list[Done] = []
    attempts, patience = Attempts(), Patience()

    async def talk(session: VaultSession) -> None:
        job = await _find(session, lambda job: job.job_id in chosen if chosen else is_it(job))
        if job is None and chosen:
            raise Failure("not_found", "the job was removed while its run went on", "its safesets stay")
        if job is None:
            return
        chosen[job.job_id] = job.name
        back_up: BackUp = (await compute(_load_room)).back_up
        with Progress(output) as progress:

            def tell(phase: str, figures: ScanFigures) -> None:
                progress.update(Figures(phase, figures.files, figures.protected_bytes, figures.bytes_total))

            agent = Agent(state, identity, session, pace, is_watched=progress.is_shown, attempts=attempts)
            finished.append(await back_up(agent, job, tell))

    def pause_after(error: Exception) -> float:
        if finished or not attempts.has_begun or not is_lost(error):
            raise error
        seconds = patience.pause_seconds(error, attempts.counts.records, trio.current_time())
        output.note(f"the vault is out of reach: {describe(error).message}; trying again in {seconds:.0f} s")
        return seconds

    try:
        ask_vault(state, identity, talk, pause_after, _JOBS, _load_room)
    except (Exception, KeyboardInterrupt) as error:
        # How the connection ends does not matter to a safeset that was countersigned.
        if not finished:
            if isinstance(error, KeyboardInterrupt):
                raise _interrupted(next(iter(chosen.values()), "") if is_asked else "") from None
            raise
        finished[0].notes.append(f"the connection did not end well: {describe(error).message}")
    if not finished:
        return None
    (done,) = finished
    if patience.losses:
        times = "once" if patience.losses == 1 else f"{patience.losses} times"
        done.notes.append(f"the vault was out of reach {times}; the run went on")
    (name,) = chosen.values()
    _tell_done(output, done, time.monotonic() - start, f"Job {escape_text(name)}: " if is_asked else "")
    return EXIT_WARNINGS if done.missed.count else EXIT_OK


def _load_room() -> ModuleType:
    """Waits where another thread is loading it."""
    is_here = _ROOM in sys.modules
    room = importlib.import_module(_ROOM)
    if not is_here:  # never after an attempt that was broken off: what it left would stay as well
        collect_garbage_rarely()
    return room


async def _find(session: VaultSession, is_it: Callable[[AgentJob], bool]) -> AgentJob | None:
    answer, _ = await session.ask(_JOBS.method, _JOBS.request, _JOBS.answer_type)
    return next(filter(is_it, answer.jobs), None)


def _interrupted(name: str) -> Failure:
    if name:
        return Failure(INTERRUPTED, f"the run of job {name!r} was interrupted", "the next one goes on where it ended")
    return Failure(INTERRUPTED, "interrupted", "the same command goes on where it ended")


async def named_job(session: VaultSession, state: StateDirectory, name: str) -> AgentJob:
    job = await _find(session, lambda job: job.name == name)
    if job is None:
        raise _no_job(state, name)
    return job


def _no_job(state: StateDirectory, name: str) -> Failure:
    """The vault names those that take runs."""
    if state.known_job_id(name) is not None:
        return Failure("not_found", f"job {name!r} was removed", "its safesets are kept and can be restored")
    return Failure("not_found", f"this computer has no job {name!r}", "see `vault-agent status`")


def _tell_done(output: Output, done: Done, seconds: float, of_job: str) -> None:
    tell_missed(output, done.missed)
    tell_hit_files(output, done.hit)
    scanned, sent = done.scanned, done.sent
    output.note(*(f"note: {note}" for note in done.notes))
    if scanned.kernel_mounts:
        output.note(
            f"note: {count_text(scanned.kernel_mounts)} file systems that only show what the kernel knows (proc, sysfs"
            " and their like) were not entered; include a path in one to take it"
        )
    output.line({
        "type": "summary", "safeset": done.safeset, "files": scanned.files, "directories": scanned.directories,
        "others": scanned.others, "bytes_read": scanned.bytes_read, "protected_bytes": scanned.protected_bytes,
        "new_chunks": sent.records, "uploaded_bytes": sent.record_bytes, "reused_bytes": done.reused_bytes,
        "seconds": round(seconds, 3), "warnings": done.missed.count,
        "kernel_mounts": scanned.kernel_mounts, "remade_bytes": scanned.remade_bytes,
        "files_hit": done.hit.count, "stored_anew": len(done.hit.stored_anew),
    })  # fmt: skip
    if not output.json:
        click.echo(
            f"{of_job}Safeset {done.safeset}: {files_text(scanned.files)}, {size_text(scanned.protected_bytes)},"
            f" {size_text(sent.record_bytes)} uploaded in {elapsed_text(seconds)}."
        )
