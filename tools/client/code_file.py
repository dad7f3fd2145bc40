"""Codes that people got on paper or in a file: recovery codes and invite codes."""

import os
import stat
import sys
from pathlib import Path

import click

from tools.client.failure import Failure
from tools.client.recovery_code import RecoveryCodeError, parse_recovery_code

_CODE_FILE_BYTES_MAX = 4096


def read_recovery_code(file: str) -> bytes:
    """The 20 bytes; `-` is standard input. One that cannot be right is wrong usage: the vault is not asked."""
    try:
        return parse_recovery_code(read_code_file(file, "recovery code", is_secret=True))
    except RecoveryCodeError as error:
        raise Failure("usage", str(error), "compare it with what was shown when the code was made") from None


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
        hint = f"name a file with the whole {what}; - is standard input"
        raise Failure("usage", f"{name} cannot be read for the {what}: {why}", hint) from None
    if is_open:
        raise Failure("not_allowed", f"{what} file {file} may be read by other users", f"run: chmod 600 {file}")
    if not text:
        raise Failure("usage", f"there is no {what} in {name}", "copy the whole code as it was shown")
    return text


def _is_for_others(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and bool(stat.S_IMODE(status.st_mode) & 0o077)
