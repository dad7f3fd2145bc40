"""What every command of the agent begins with: its output, its state directory, its identity, secrets for a restore."""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tools.agent.state import StateDirectory, open_state
from tools.agent.unlock import Secret
from tools.client.failure import Failure
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_password
from tools.client.recovery_code import RecoveryCodeError, parse_recovery_code
from tools.client.terminal_text import unescape_path

_CODE_FILE_BYTES_MAX = 4096

Callback = Callable[..., Any]


def output_of(ctx: click.Context) -> Output:
    output: Output = ctx.find_root().obj
    return output


def state_path(ctx: click.Context) -> Path:
    path: Path | None = ctx.find_root().params["state"]
    if path is None:
        raise Failure("usage", "no state directory was given", "vault-agent --state DIR …, or set $VAULT_AGENT_STATE")
    return path


def state_of(ctx: click.Context) -> StateDirectory:
    return open_state(state_path(ctx))


def sequence_of(text: str) -> int:
    """0 stands for the latest complete safeset."""
    if text == "latest":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise Failure("usage", f"--safeset is a number from 1 or `latest`, not {text!r}", "see `vault-agent safesets`")
    return int(text)


def safeset_options(command: Callback) -> Callback:
    """Which safeset, and the secret that opens it: the same for every command that looks into one."""
    computer = click.option("--computer", metavar="NAME", help="Whose job it is, where it is not this computer's.")
    safeset = click.option("--safeset", default="latest", show_default=True, metavar="N", help="A number, or latest.")
    return safeset(secret_options(computer(command)))


def secret_options(command: Callback) -> Callback:
    """What opens a job: its password or its recovery code."""
    for option in reversed((
        click.option("--password-file", metavar="FILE", help="File with the job password; - is standard input."),
        click.option("--password-command", metavar="COMMAND", help="A program that prints the job password."),
        click.option(
            "--recovery-code-file", metavar="FILE", help="File with the recovery code instead; - is standard input."
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def escaped_option(command: Callback) -> Callback:
    return click.option(
        "--escaped", "is_escaped", is_flag=True,
        help=r"PATH is written as ls shows it: \xNN for a byte, \uNNNN for a character, \\ for a backslash.",
    )(command)  # fmt: skip


def given_paths(paths: Sequence[str], *, is_escaped: bool) -> list[bytes]:
    """PATHs of the command line in bytes."""
    try:
        return [unescape_path(path) if is_escaped else os.fsencode(path) for path in paths]
    except ValueError as error:
        raise Failure("usage", f"a PATH is not as `ls` shows it: {error}", "copy it from `vault-agent ls`") from None


def read_secret(source: PasswordSource, recovery_code_file: str | None, job: str) -> Secret:
    if recovery_code_file is None:
        return read_password(source, f"job {job}")
    if source.file is not None or source.command is not None:
        raise Failure("usage", "a password and a recovery code exclude each other", "give one of them")
    try:
        return parse_recovery_code(read_code_file(recovery_code_file, "recovery code", is_secret=True))
    except RecoveryCodeError as error:
        raise Failure("wrong_password", str(error), "compare with what was shown when the job was created") from None


def read_code_file(file: str, what: str, *, is_secret: bool = False) -> str:
    if file == "-" and sys.stdin.isatty():
        typed: str = click.prompt(what.capitalize(), err=True, hide_input=is_secret)
        return typed
    name = "standard input" if file == "-" else file
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as handle:
            is_open = is_secret and file != "-" and _is_for_others(os.fstat(handle.fileno()))
            text = handle.read(_CODE_FILE_BYTES_MAX).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure("usage", f"{name} cannot be read for the {what}: {why}") from None
    if is_open:
        raise Failure("not_allowed", f"{what} file {file} may be read by other users", f"run: chmod 600 {file}")
    if not text:
        raise Failure("usage", f"there is no {what} in {name}", "copy the whole code as it was shown")
    return text


def _is_for_others(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and bool(stat.S_IMODE(status.st_mode) & 0o077)
