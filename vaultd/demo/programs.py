"""The shipped programs as child processes: what the demo does, anybody can type."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaultd.errors import Internal, VaultError

SOURCE_ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = {"vaultd": "vaultd", "vaultctl": "tools.vaultctl", "vault-agent": "tools.agent"}
STOP_SECONDS = 40
_EXIT_WARNINGS = 3  # the last line says how many
READY_WORDS = "listening on "


class ProgramFailed(VaultError):
    """A program ended with another exit code than 0; `exit_code` is that."""

    def __init__(self, words: list[str], returncode: int, message: str) -> None:
        super().__init__(f"`{' '.join(words)}` ended with exit code {returncode}: {message}")
        self.exit_code = returncode  # type: ignore[misc]


def command_of(program: str) -> list[str]:
    """The installed command beside this Python, else the module of the checkout."""
    beside = Path(sys.executable).parent / program
    return [str(beside)] if beside.exists() else [sys.executable, "-m", MODULES[program]]


def run_json(program: str, *arguments: object, is_warning_fine: bool = False) -> dict[str, Any]:
    """Runs a program with --json and returns its one document, or the last of its lines."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run(
        [*command_of(program), *words, "--json"], env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and not (is_warning_fine and done.returncode == _EXIT_WARNINGS):
        raise ProgramFailed([program, *words], done.returncode, _last_line(done.stderr) or "it said nothing")
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = json.loads(_last_line(done.stdout) or "null")
    if not isinstance(document, dict):
        raise Internal(f"`{program} {' '.join(words)}` answered no JSON object")
    return document


@contextmanager
def serving(directory: Path, log_file: Path) -> Iterator[None]:
    """`vaultd serve` for the length of the block, ready when the block begins."""
    command = [*command_of("vaultd"), "serve", str(directory)]
    with log_file.open("ab") as log:
        # A session of its own: Ctrl-C must reach the demo, which then stops its daemon in order.
        daemon = subprocess.Popen(
            command, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    try:
        assert daemon.stdout is not None
        if not daemon.stdout.readline().startswith(READY_WORDS):
            raise ProgramFailed(["vaultd", "serve"], daemon.wait(STOP_SECONDS), f"see {log_file}")
        yield
    finally:
        _stop(daemon)


def _stop(daemon: subprocess.Popen[str]) -> None:
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    if daemon.stdout is not None:
        daemon.stdout.close()


def _environment() -> dict[str, str]:
    """The demo's own settings must not reach its vault; the checkout must be found from any directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULTD_", "VAULTCTL_"))}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(SOURCE_ROOT), os.environ.get("PYTHONPATH", "")]))}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
