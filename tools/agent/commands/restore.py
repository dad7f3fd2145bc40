"""`vault-agent restore`: files of a safeset below a directory."""

import os
import time
from pathlib import Path
from typing import Any

import click

from protocol.errors import RemoteProtocolError
from protocol.messages import AgentJobsAnswer, AgentJobsRequest
from tools.agent.commands.context import output_of, state_of
from tools.agent.commands.opening import escaped_option, given_paths, read_secret, safeset_options, sequence_of
from tools.agent.local.hand_over import hand_over
from tools.agent.local.orders import RestoreOrder
from tools.agent.local_settings import load_local_settings
from tools.agent.missed import tell_missed
from tools.agent.restore.metadata import Rights
from tools.agent.restore.restore import Destination, Restored, prepare_root, restore
from tools.agent.restore.restore_room import check_room
from tools.agent.restore.restore_watch import UNWATCHED, RestoreWatch
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.target_lock import held_target
from tools.agent.safeset.entries import tell_damage, wanted_paths
from tools.agent.safeset.unlock import Unlocked, Wanted, first_question, unlock
from tools.agent.state import StateDirectory
from tools.agent.vault.connection import ask_vault, collect_garbage_rarely
from tools.agent.vault.lost_connection import is_lost
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, INTERRUPTED, Failure
from tools.client.named_path import NamedPath
from tools.client.output import Output
from tools.client.passwords import PasswordSource
from tools.client.program import Command
from tools.client.progress import Figures, Progress
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, elapsed_text, files_text, size_text

KNOWN_DAMAGE = "note: the vault says that this safeset is damaged: what is lost is named, all else is restored"


@click.command("restore", cls=Command)
@click.argument("job")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@safeset_options
@escaped_option
@click.option(
    "--target",
    required=True,
    type=NamedPath(),
    metavar="DIR",
    help="Files come to DIR and their full source path; / is the original place.",
)
@click.option(
    "--overwrite",
    type=click.Choice([rule.value for rule in Overwrite]),
    default=Overwrite.never.value,
    show_default=True,
    help="Replace files that are there: never (each is named, exit code 3), older ones, those of another size or time,"
    " or always.",
)
@click.option("--no-space-check", is_flag=True, help="Begin although the target seems to have too little room.")
@click.option(
    "--privileged",
    is_flag=True,
    help="Also devices, set-user-id and set-group-id bits of files, and file capabilities; as root only.",
)
@click.pass_context
def command(ctx: click.Context, job: str, paths: tuple[str, ...], target: Path, **options: Any) -> int:
    """Restores all of JOB, or what is at and below each PATH, to DIR.

    /etc/hosts comes back as DIR/etc/hosts. Exit code 3: done, but not everything was stored or written as it was; 9:
    damage was found, and the rest was restored.
    """
    output, state = output_of(ctx), state_of(ctx)
    sequence = sequence_of(options["safeset"])
    selected = wanted_paths(given_paths(paths, is_escaped=options["is_escaped"]))
    source = PasswordSource(options["password_file"], options["password_command"])
    secret = read_secret(source, options["recovery_code_file"], job)
    if options["privileged"] and os.geteuid() != 0:
        raise Failure("usage", "--privileged needs root", "leave it out, or restore as root")
    state.load_identity()
    order = RestoreOrder(
        job=job, computer=options["computer"], sequence=sequence, paths=list(selected),
        target=os.path.abspath(os.fsencode(target)), overwrite=options["overwrite"],
        is_privileged=options["privileged"], is_room_checked=not options["no_space_check"],
        password=secret if isinstance(secret, str) else None,
        recovery_code=secret if isinstance(secret, bytes) else None, json=output.json,
    )  # fmt: skip
    exit_code = hand_over(state.path, order, output)
    return carry_out_restore(output, state, order) if exit_code is None else exit_code


def carry_out_restore(
    output: Output, state: StateDirectory, order: RestoreOrder, watch: RestoreWatch = UNWATCHED
) -> int:
    """Writes nothing in the state: a restore may go on beside a backup. A vault that is lost when everything is written
    is no error any more.
    """
    start = time.monotonic()
    collect_garbage_rarely()
    target = Path(os.fsdecode(order.target))
    rights, budget_bytes = Rights(order.is_privileged), load_local_settings(state.path).contents_bytes
    destination = Destination(target, Overwrite(order.overwrite), rights, budget_bytes)
    is_all = order.paths == [b""]
    wanted = Wanted(order.job, order.computer, order.sequence, order.job_id)

    notes: list[str] = []
    whole = [0]
    done: list[tuple[Restored, bool]] = []

    async def talk(session: VaultSession) -> None:
        with Progress(output) as progress:
            if is_all:
                session.expect_bulk()
            unlocked = await unlock(session, state, wanted, order.secret)
            notes.extend(await _missing_keys(session, state, wanted, unlocked))
            if unlocked.is_known_damaged:
                output.note(KNOWN_DAMAGE)
            _require_directory(target)
            prepare_root(target)
            total_bytes = unlocked.root.figures.protected_bytes if is_all else None

            def at_least(written_bytes: int) -> int | None:
                """Hard links are protected once and written as often as they have names."""
                return None if total_bytes is None else max(total_bytes, written_bytes)

            def tell(files: int, written_bytes: int) -> None:
                figures = Figures("restoring", files, written_bytes, at_least(written_bytes))
                progress.update(figures)
                watch.figures = figures
                whole[0] = files

            async with watch.reporting(session), held_target(state.path, target, watch.waiting):
                if order.is_room_checked:
                    await check_room(unlocked, order.paths, target)
                done.append((await restore(unlocked, order.paths, destination, tell), unlocked.root.complete))

    try:
        ask_vault(state, state.load_identity(), talk, first=first_question(wanted))
    except KeyboardInterrupt:
        hint = "run the same restore again: what is whole stays, and the rest comes"
        raise Failure(INTERRUPTED, "interrupted", hint) from None
    except Exception as error:
        if not done or not is_lost(error):
            raise _with_whole(error, whole[0]) from error.__cause__
    ((restored, is_complete),) = done
    watch.restored = restored
    output.note(*notes)
    of_job = "" if order.job_id is None else f"Job {escape_text(order.job)}: "  # for the log of the service
    return _conclude(output, restored, is_complete, time.monotonic() - start, of_job)


async def _missing_keys(session: VaultSession, state: StateDirectory, wanted: Wanted, unlocked: Unlocked) -> list[str]:
    """What to say of a job of this computer whose keys another agent made: this one replaces it."""
    job_id = unlocked.root.job_id
    if wanted.computer is not None or state.job(job_id).load_unattended() is not None:
        return []
    try:
        answer, _ = await session.ask("agent.jobs", AgentJobsRequest(), AgentJobsAnswer)
    except RemoteProtocolError:
        return []  # no restore fails for a note
    if all(job.job_id != job_id for job in answer.jobs):
        return ["note: this job was removed at the vault: it is restored, and not backed up any more"]
    return [f"note: this agent has no keys of this job: `vault-agent adopt {wanted.job}` takes them up for `backup`"]


def _require_directory(target: Path) -> None:
    if os.path.exists(target) and not os.path.isdir(target):  # noqa: PTH110, PTH112 - no error where it is hidden
        raise Failure("conflict", f"target {target} is a file, not a directory", "name another --target")


def _with_whole(failure: Exception, files: int) -> Exception:
    """Of a disk that is full in the middle. `files` is the count of the last step, so there may be some more."""
    if not isinstance(failure, Failure) or failure.code != "no_space" or not files:
        return failure
    message = f"{failure.message}; {files_text(files)} or more are whole"
    return Failure(failure.code, message, f"{failure.hint}: what is whole stays")


def _conclude(output: Output, restored: Restored, is_complete: bool, seconds: float, of_job: str) -> int:  # noqa: FBT001
    tell_missed(output, restored.missed)
    if not is_complete:
        output.note("warning: the safeset is provisional: the run that made it did not come to its end")
    tell_damage(output, restored.manifest_damage)
    if restored.is_damaged:
        count = restored.lost
        raise Failure(
            "damaged",
            f"{files_text(restored.files)} restored, {count_text(count)} damaged or out of reach"
            if count
            else f"{files_text(restored.files)} restored, but the list of files is damaged",
            "the files that are named above are missing in the target; run `vault-agent backup` where the originals "
            "are, which sends again what is damaged, and restore again; or try another safeset. Where it says offline, "
            "wait for the vault's disk",
        )
    output.line({
        "type": "summary", "files": restored.files, "bytes": restored.bytes, "seconds": round(seconds, 3),
        "left": restored.left, "warnings": restored.missed.count,
    })  # fmt: skip
    if not output.json:
        speed = f"{files_text(restored.files)}, {size_text(restored.bytes)} in {elapsed_text(seconds)}"
        there = f"; {files_text(restored.left)} stayed, being the same or newer" if restored.left else ""
        click.echo(f"{of_job}Restored {speed}{there}.")
    if not restored.missed.codes.total() and is_complete:
        return EXIT_OK
    return EXIT_WARNINGS
