"""How often each side syncs a file or a file system: strace writes one line for each such call."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Command

CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs")
CALL = re.compile(rf"^(\d+) +(?:{'|'.join(CALLS)})\(".encode(), re.MULTILINE)


def is_here() -> bool:
    return shutil.which("strace") is not None


class Syncs:
    """Files of strace below `directory`: one of the server, one of each agent. A program of many threads runs much
    slower with it: what is counted is not timed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._counted = 0

    def traced(self, command: Command, side: str) -> Command:
        """`side`: agent-N, made anew each time, or vault, once."""
        self._directory.mkdir(exist_ok=True)
        words = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
        return replace(command, words=[*words, "-o", str(self._directory / side), *command.words])

    def counted(self, served: Collection[int]) -> dict[str, int]:
        """Calls of the operation that ended last; processes of `served` ran below the agent for the vault."""
        below = [pid for path in self._directory.glob("agent-*") for pid in _callers(path)]
        vault = len(_callers(self._directory / "vault"))
        theirs = sum(pid in served for pid in below) + vault - self._counted
        return {"agent_syncs": sum(pid not in served for pid in below), "vault_syncs": theirs}

    def begin(self) -> None:
        """What the vault did until now is not counted."""
        self._counted = len(_callers(self._directory / "vault"))
        for path in self._directory.glob("agent-*"):
            path.unlink()


def _callers(path: Path) -> list[int]:
    return [int(pid) for pid in CALL.findall(path.read_bytes())] if path.exists() else []
