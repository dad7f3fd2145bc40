"""`vault-agent ls`: the files of a safeset."""

import base64
import os
from typing import Any

import click

from tools.agent.commands.context import output_of, read_secret, sequence_of, state_of
from tools.agent.connection import ask_vault
from tools.agent.entries import walk_safeset, wanted_paths
from tools.agent.unlock import Wanted, unlock
from tools.client.documents import path_text
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, Failure
from tools.client.manifest import Entry, Extra, Kind, continues
from tools.client.output import Output
from tools.client.passwords import PasswordSource
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_path
from tools.client.units import time_json, time_text

_KIND_WORDS = {kind: kind.name.lower() for kind in Kind}
_KIND_LETTERS = {Kind.FILE: "-", Kind.DIRECTORY: "d", Kind.SYMBOLIC_LINK: "l"}


@click.command("ls", cls=Command)
@click.argument("job")
@click.argument("path", required=False)
@click.option("--safeset", default="latest", show_default=True, metavar="N", help="Number, or latest.")
@click.option("--password-file", metavar="FILE", help="The job password; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--recovery-code-file", metavar="FILE", help="The job's recovery code instead of its password.")
@click.option("--computer", metavar="NAME", help="Another computer of the account whose job it is.")
@click.pass_context
def command(ctx: click.Context, job: str, path: str | None, **options: Any) -> int:
    """Lists everything in a safeset of JOB, or what is at and below PATH. The list is written while it is read.

    With --json in lines: one for each entry, the last one is the summary or the error. `path_base64` is for paths that
    are not UTF-8 text.
    """
    output, state = output_of(ctx), state_of(ctx)
    wanted = Wanted(job, options["computer"], sequence_of(options["safeset"]))
    (selected,) = wanted_paths([] if path is None else [os.fsencode(path)])
    source = PasswordSource(options["password_file"], options["password_command"])
    secret = read_secret(source, options["recovery_code_file"], job)

    async def talk(session: VaultSession) -> tuple[int, bool]:
        unlocked = await unlock(session, state, wanted, secret)
        before: Entry | None = None
        count = 0
        async for entries in walk_safeset(unlocked, selected):
            for entry in entries:
                if not continues(entry, before):
                    _tell(output, entry)
                    count += 1
                before = entry
        if before is None and selected:
            raise Failure("not_found", f"{path} is not in the safeset", "name it from the file system's root on")
        return count, unlocked.root.complete

    count, is_complete = ask_vault(state, state.load_identity(), talk)
    output.line({"type": "summary", "entries": count, "complete": is_complete})
    return EXIT_OK if is_complete else EXIT_WARNINGS


def _tell(output: Output, entry: Entry) -> None:
    """One line each: a safeset may hold more than fits in memory."""
    if output.json:
        output.line(_document(entry))
    else:
        click.echo(_text(entry))


def _text(entry: Entry) -> str:
    letter = _KIND_LETTERS.get(Kind(entry.kind), "?")
    target = (entry.extras or {}).get(Extra.LINK_TARGET)
    arrow = f" -> {escape_path(target)}" if target is not None else ""
    owner = f"{entry.user or entry.uid}:{entry.group or entry.gid}"
    when = time_text(entry.mtime_ns)
    return f"{letter}{entry.mode:04o} {owner:<17} {entry.size:>12} {when} /{escape_path(entry.path)}{arrow}"


def _document(entry: Entry) -> dict[str, object]:
    target = (entry.extras or {}).get(Extra.LINK_TARGET)
    return {
        "type": "entry",
        "path": "/" + path_text(entry.path),
        "path_base64": base64.b64encode(b"/" + entry.path).decode(),
        "kind": _KIND_WORDS[Kind(entry.kind)],
        "size": entry.size,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "user": entry.user,
        "group": entry.group,
        "mtime": time_json(entry.mtime_ns),
        "target": None if target is None else path_text(target),
    }
