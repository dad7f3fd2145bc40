"""What commands that look into a safeset are told: which one, the secret that opens it, and paths in it."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from tools.agent.safeset.unlock import Secret
from tools.client.code_file import read_recovery_code
from tools.client.failure import Failure
from tools.client.passwords import PasswordSource, read_password
from tools.client.terminal_text import unescape_path

Callback = Callable[..., Any]


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
        click.option(
            "--password-file", metavar="FILE", help="File with the job password (mode 0600); - is standard input."
        ),
        click.option("--password-command", metavar="COMMAND", help="A program that prints the job password."),
        click.option(
            "--recovery-code-file", metavar="FILE", help="Such a file with the recovery code instead; - as well."
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
    return read_recovery_code(recovery_code_file)
