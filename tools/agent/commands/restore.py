"""`vault-agent restore`: files of a safeset below a directory."""

import os
import time
from pathlib import Path
from typing import Any

import click

from tools.agent.commands.context import output_of, read_secret, sequence_of, state_of
from tools.agent.connection import ask_vault, collect_garbage_rarely
from tools.agent.entries import tell_damage, wanted_paths
from tools.agent.missed import tell_missed
from tools.agent.restore import Destination, Restored, prepare_root, restore
from tools.agent.survey import Overwrite
from tools.agent.unlock import Wanted, unlock
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, Failure
from tools.client.output import Output
from tools.client.passwords import PasswordSource
from tools.client.program import Command
from tools.client.progress import Figures, Progress
from tools.client.session import VaultSession
from tools.client.units import count_text, duration_text, size_text


@click.command("restore", cls=Command)
@click.argument("job")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--safeset", default="latest", show_default=True, metavar="N", help="Number, or latest.")
@click.option("--target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="/: the original place.")
@click.option("--password-file", metavar="FILE", help="The job password; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--recovery-code-file", metavar="FILE", help="The job's recovery code instead of its password.")
@click.option(
    "--overwrite",
    type=click.Choice([rule.value for rule in Overwrite]),
    default=Overwrite.never.value,
    show_default=True,
    help="Which files that are there are replaced: none, older ones, those of another size or time, all.",
)
@click.option("--computer", metavar="NAME", help="Another computer of the account whose job it is.")
@click.pass_context
def command(ctx: click.Context, job: str, paths: tuple[str, ...], target: Path, **options: Any) -> int:
    """Restores JOB, or what is at and below each PATH of it, to DIR with the full source path below it.

    Exit code 3: done, but some files were not written; 9: damage was found.
    """
    output, state = output_of(ctx), state_of(ctx)
    start = time.monotonic()
    collect_garbage_rarely()
    wanted = Wanted(job, options["computer"], sequence_of(options["safeset"]))
    selected = wanted_paths([os.fsencode(path) for path in paths])
    source = PasswordSource(options["password_file"], options["password_command"])
    secret = read_secret(source, options["recovery_code_file"], job)
    prepare_root(target)
    destination = Destination(target, Overwrite(options["overwrite"]))

    async def talk(session: VaultSession) -> tuple[Restored, bool]:
        with Progress(output) as progress:
            unlocked = await unlock(session, state, wanted, secret)
            total_bytes = None if paths else unlocked.root.figures.protected_bytes

            def tell(files: int, written_bytes: int) -> None:
                progress.update(Figures("restoring", files, written_bytes, total_bytes))

            return await restore(unlocked, selected, destination, tell), unlocked.root.complete

    restored, is_complete = ask_vault(state, state.load_identity(), talk)
    return _conclude(output, restored, is_complete, time.monotonic() - start)


def _conclude(output: Output, restored: Restored, is_complete: bool, seconds: float) -> int:  # noqa: FBT001
    tell_missed(output, restored.missed)
    if not is_complete:
        output.note("warning: the safeset is provisional: the run that made it did not come to its end")
    tell_damage(output, restored.manifest_damage)
    if restored.is_damaged:
        count = restored.missed.codes["damaged"]
        raise Failure(
            "damaged",
            f"{restored.files} files were restored, {count} are damaged" if count else "the list of files is damaged",
            "the files that are named above are missing in the target; try another safeset for them",
        )
    output.line({
        "type": "summary", "files": restored.files, "bytes": restored.bytes, "seconds": round(seconds, 3),
        "warnings": restored.missed.count,
    })  # fmt: skip
    if not output.json:
        speed = f"{count_text(restored.files)} files, {size_text(restored.bytes)} in {duration_text(seconds)}"
        click.echo(f"Restored {speed}.")
    if not restored.missed.codes.total() and is_complete:
        return EXIT_OK
    return EXIT_WARNINGS
