"""`vault-agent ls`: the files of a safeset."""

import base64
from contextlib import aclosing
from typing import Any

import click

from tools.agent.commands.context import output_of, state_of
from tools.agent.commands.opening import escaped_option, given_paths, read_secret, safeset_options, sequence_of
from tools.agent.missed import Missed, tell_missed
from tools.agent.safeset.entries import Damage, flagged, left_out, tell_damage, walk_safeset, wanted_paths
from tools.agent.safeset.unlock import Wanted, first_question, unlock
from tools.agent.vault.connection import ask_vault
from tools.client.documents import path_text
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, Failure
from tools.client.manifest import KNOWN_KINDS, Entry, Extra, Kind
from tools.client.output import Output
from tools.client.passwords import PasswordSource
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_path, escape_text
from tools.client.units import size_text, time_json, time_text

_KIND_WORDS = {kind: kind.name.lower() for kind in Kind}
_KIND_LETTERS = {
    Kind.FILE: "-", Kind.DIRECTORY: "d", Kind.SYMBOLIC_LINK: "l", Kind.FIFO: "p", Kind.SOCKET: "s",
    Kind.CHARACTER_DEVICE: "c", Kind.BLOCK_DEVICE: "b",
}  # fmt: skip


@click.command("ls", cls=Command)
@click.argument("job")
@click.argument("path", required=False)
@safeset_options
@escaped_option
@click.pass_context
def command(ctx: click.Context, job: str, path: str | None, *, is_escaped: bool, **options: Any) -> int:
    """Lists everything in a safeset of JOB, or what is at and below PATH.

    With --json in lines: one for each entry, the last one is the summary or the error; `path_base64` is for paths that
    are not UTF-8 text. Exit code 3: something could not be stored as it was, a later version of this program wrote
    something that is left out, or the safeset is provisional.
    """
    output, state = output_of(ctx), state_of(ctx)
    wanted = Wanted(job, options["computer"], sequence_of(options["safeset"]))
    (selected,) = wanted_paths(given_paths([] if path is None else [path], is_escaped=is_escaped))
    source = PasswordSource(options["password_file"], options["password_command"])
    secret = read_secret(source, options["recovery_code_file"], job)

    missed, damage = Missed(), Damage()

    async def talk(session: VaultSession) -> tuple[int, bool]:
        unlocked = await unlock(session, state, wanted, secret)
        count = 0
        async with aclosing(walk_safeset(unlocked, selected, damage)) as found:
            async for entries in found:
                for entry in entries:
                    count += _tell(output, entry, missed)
        if not (count or missed.count or damage) and selected:
            raise _not_there(str(path))
        return count, unlocked.root.complete

    count, is_complete = ask_vault(state, state.load_identity(), talk, first=first_question(wanted))
    tell_missed(output, missed)
    if not is_complete:
        output.note("warning: the safeset is provisional: the run that made it did not come to its end")
    tell_damage(output, damage)
    if damage:
        raise Failure(
            "damaged", f"the list of files is damaged: {count} paths are listed", "try another safeset for the others"
        )
    output.line({"type": "summary", "entries": count, "complete": is_complete, "warnings": missed.count})
    return EXIT_OK if is_complete and not missed.count else EXIT_WARNINGS


def _not_there(path: str) -> Failure:
    is_whole = path.startswith("/")
    if "\\" in path:
        return Failure("not_found", f"{path} is not in the safeset", "a name as `ls` shows it needs --escaped")
    hint = "it may be in an older one: --safeset N" if is_whole else "name it from the file system's root on"
    return Failure("not_found", f"{path} is not in the safeset", hint)


def _tell(output: Output, entry: Entry, missed: Missed) -> bool:
    """One line each, a safeset may hold more than fits in memory; was there one?"""
    if entry.is_continuation:
        return False
    if warning := left_out(entry):
        missed.add(entry.path, warning)
    for warning in flagged(entry):
        missed.add(entry.path, warning)
    if entry.kind not in KNOWN_KINDS:
        return False
    if output.json:
        output.line(_document(entry))
    else:
        click.echo(_text(entry))
    return True


def _text(entry: Entry) -> str:
    letter = _KIND_LETTERS.get(Kind(entry.kind), "?")
    extras = entry.extras or {}
    target, device = extras.get(Extra.LINK_TARGET), extras.get(Extra.DEVICE)
    arrow = f" -> {escape_path(target)}" if target is not None else ""
    owner = escape_text(f"{entry.user or entry.uid}:{entry.group or entry.gid}")
    size = ",".join(map(str, device)) if device else size_text(entry.size) if entry.kind == Kind.FILE else "-"
    when = time_text(entry.mtime_ns)
    return f"{letter}{entry.mode:04o} {owner:<17} {size:>8} {when} /{escape_path(entry.path)}{arrow}"


def _document(entry: Entry) -> dict[str, object]:
    """`link_set` is the same on all names of a file; `holes_bytes` of `size` are not stored."""
    extras = entry.extras or {}
    target, link_set = extras.get(Extra.LINK_TARGET), extras.get(Extra.LINK_SET)
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
        "device": extras.get(Extra.DEVICE),
        "link_set": None if link_set is None else link_set.hex(),
        "holes_bytes": sum(extras.get(Extra.HOLES, [])[1::2]),
        "attributes": sorted(path_text(name) for name in extras.get(Extra.ATTRIBUTES, {})),
    }
