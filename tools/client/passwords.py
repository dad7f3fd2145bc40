"""Where a job password comes from: a file, standard input, another program or the terminal; never an argument."""

import getpass
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.client.failure import Failure

PASSWORD_CHARACTERS_MIN = 8
# Far above any password; a bigger file is some other file.
PASSWORD_BYTES_MAX = 4096

Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """`file` is a path or `-`, `command` a command line; with neither, or with `-` at a terminal, people are asked."""

    file: str | None = None
    command: str | None = None
    option: str = field(default="--password", compare=False)  # with `-file` and `-command` what people typed

    @property
    def hint(self) -> str:
        return (
            f"give {self.option}-file FILE, {self.option}-file - for standard input, or {self.option}-command COMMAND"
        )


def read_password(source: PasswordSource, purpose: str, ask: Ask = getpass.getpass) -> str:
    """An existing password; `purpose` completes "Password of …"."""
    return _given_password(source) or _asked_password(source, purpose, ask)


def read_new_password(source: PasswordSource, purpose: str, ask: Ask = getpass.getpass) -> str:
    """A password that is being chosen: long enough, and typed twice on a terminal."""
    password = _given_password(source)
    if password is None:
        password = _asked_password(source, purpose, ask)
        if ask("The same again: ") != password:
            raise Failure("usage", "the two passwords differ", "start again and type the same password twice")
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise Failure(
            "usage",
            f"the password has {len(password)} characters, it needs at least {PASSWORD_CHARACTERS_MIN}",
            "choose a longer one: several words are easy to keep; nobody can recover it",
        )
    return password


def _given_password(source: PasswordSource) -> str | None:
    if source.file is not None and source.command is not None:
        raise Failure(
            "usage", f"{source.option}-file and {source.option}-command exclude each other", "give one of them"
        )
    if source.file == "-" and sys.stdin.isatty():
        return None
    if source.file is not None:
        name = "standard input" if source.file == "-" else f"password file {source.file}"
        return _one_line(_file_bytes(source.file, source.hint), name)
    if source.command is not None:
        return _one_line(
            _command_bytes(source.command, f"{source.option}-command"), f"output of {source.option}-command"
        )
    return None


def _file_bytes(file: str, hint: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(PASSWORD_BYTES_MAX + 1)
    try:
        with Path(file).open("rb") as handle:
            status = os.fstat(handle.fileno())
            data = handle.read(PASSWORD_BYTES_MAX + 1)
    except OSError as error:
        raise Failure("usage", f"password file {file} cannot be read: {error.strerror}", hint) from None
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o077:
        raise Failure("not_allowed", f"password file {file} may be read by other users", f"run: chmod 600 {file}")
    return data


def _command_bytes(command: str, option: str) -> bytes:
    """The program gets no shell and no standard input; what it says on standard error is shown as it comes."""
    try:
        words = shlex.split(command)
        if not words:
            raise ValueError("it is empty")
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure("usage", f"{option} cannot be started: {why}", "test the command by itself") from None
    if done.returncode != 0:
        raise Failure("failed", f"{option} ended with exit code {done.returncode}", "test it by itself")
    return done.stdout


def _one_line(data: bytes, name: str) -> str:
    if len(data) > PASSWORD_BYTES_MAX:
        raise Failure("usage", f"the {name} has more than {PASSWORD_BYTES_MAX} bytes", "is it the right one?")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Failure("usage", f"the {name} is not UTF-8 text", "is it the right one?") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Failure("usage", f"the {name} is empty", "it must hold the password in one line")
    if "\n" in text or "\r" in text or "\0" in text:
        raise Failure("usage", f"the {name} has more than one line", "it must hold the password in one line")
    return text


def _asked_password(source: PasswordSource, purpose: str, ask: Ask) -> str:
    if not sys.stdin.isatty():
        raise Failure("usage", f"there is no terminal to ask for the password of {purpose}", source.hint)
    password = ask(f"Password of {purpose}: ")
    if not password:
        raise Failure("usage", "no password was typed", source.hint)
    return password
