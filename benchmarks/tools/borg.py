"""borg: to a repository on the same disk, and through `borg serve` as over ssh, without an sshd between."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from benchmarks.environment import of_peers
from benchmarks.measure import Command
from benchmarks.tools.tool import PASSWORD, Facts, Tool

# What borg starts in place of ssh; the words that borg adds are those of ssh's far end.
SERVE = """#!/bin/sh
sh -c 'echo $$ >{pid}; exec borg serve --restrict-to-repository {store}'
times >{times}
"""


class Borg(Tool):
    """One repository; one agent at a time, because borg locks it."""

    name = "borg"
    programs = ("borg",)
    good_exit_codes = (0, 1)  # 1: done, with a warning
    facts = Facts(
        "aes-256-ctr, blake2b (repokey-blake2)",
        "zstd,3",
        "each segment synced when it is full, and the last, nothing of a restore",
    )

    def open(self) -> None:
        self.store = self.directory / "stored"
        self._names: list[str] = []
        self._ask("init", "--encryption", "repokey-blake2", self.place())

    def close(self) -> None:
        """Nothing runs between two operations."""

    def place(self) -> str:
        return str(self.store)

    def backup_command(self, source: Path, agent: int) -> Command:
        if agent:
            raise ValueError("borg lets one agent at a time into a repository")
        self._names.append(f"run-{len(self._names)}")
        return self._command("create", "--compression", "zstd,3", f"{self.place()}::{self._names[-1]}", str(source))

    def restore_command(self, target: Path, back: int, path: Path | None) -> Command:
        only = [str(path.relative_to("/"))] if path else []
        return self._command("extract", f"{self.place()}::{self._names[-1 - back]}", *only, directory=target)

    def caches(self) -> list[Path]:
        return [self.directory / "home"]

    def _ask(self, *words: str) -> None:
        command = self._command(*words)
        subprocess.run(command.words, env=command.environment, check=True, capture_output=True)

    def _command(self, *words: str, directory: Path | None = None) -> Command:
        home = {"BORG_BASE_DIR": str(self.directory / "home"), "BORG_PASSPHRASE": PASSWORD}
        places = {**home, "TMPDIR": str(self.temporary)}
        return Command(["borg", *words], {**of_peers(), **places, **self._more()}, directory)

    def _more(self) -> dict[str, str]:
        return {}


class BorgServe(Borg):
    """The agent talks to `borg serve` through a pipe, as it does through ssh."""

    name = "borg-serve"

    def open(self) -> None:
        self.pid, self.times, self.rsh = (self.directory / name for name in ("pid", "times", "rsh"))
        places = {"pid": self.pid, "times": self.times, "store": self.directory / "stored"}
        self.rsh.write_text(SERVE.format(**{name: shlex.quote(str(path)) for name, path in places.items()}))
        self.rsh.chmod(0o755)
        super().open()

    def place(self) -> str:
        return f"ssh://localhost{self.store}"

    def served(self) -> list[int]:
        try:
            return [int(self.pid.read_text(encoding="ascii"))]
        except (OSError, ValueError):  # not yet begun
            return []

    def served_cpu_seconds(self) -> float:
        """What the shell says of all that it waited for: minutes and seconds, user and system."""
        spent = [word.rstrip("s").split("m") for word in self.times.read_text(encoding="ascii").split()]
        return sum(60 * float(minutes) + float(seconds) for minutes, seconds in spent)

    def _more(self) -> dict[str, str]:
        return {"BORG_RSH": str(self.rsh)}
