"""Wall time, CPU time and peak anonymous memory of child processes with all that they start, read from outside."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.environment import of_ours
from benchmarks.processes import anonymous_bytes, tree

SAMPLE_SECONDS = 0.02
SAMPLES_PER_LOOK = 5  # for processes that came and went


@dataclass(frozen=True, slots=True)
class Measured:
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_anonymous_bytes: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Command:
    """Words, environment and directory of one program."""

    words: Sequence[str]
    environment: dict[str, str] | None = None
    directory: Path | None = None


def nobody() -> list[int]:
    return []


class MemoryWatch:
    """Samples the RssAnon of processes with all that they started, without those of `without`, and keeps the highest
    sum. `roots`: a process, or what says which ones. Own thread; ends with the block.
    """

    def __init__(self, roots: int | Callable[[], list[int]], without: Callable[[], list[int]] = nobody) -> None:
        self._roots = (lambda: [roots]) if isinstance(roots, int) else roots
        self._without = without
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_anonymous_bytes = 0

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        number, pids = 0, list[int]()
        while not self._stop.wait(SAMPLE_SECONDS):
            if number % SAMPLES_PER_LOOK == 0:
                pids = tree(self._roots(), self._without())
            self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, anonymous_bytes(pids))
            number += 1


def measure(words: list[str], environment: dict[str, str] | None = None) -> Measured:
    """One program of ours, with `environment` on top of that of an installed one."""
    return measure_together([Command(words, {**of_ours(), **(environment or {})})])[0]


def measure_together(commands: Sequence[Command], without: Callable[[], list[int]] = nobody) -> list[Measured]:
    """Starts all at once and waits for all; wall time, CPU time and peak are of all together, in each of them.

    `without`: processes below them whose memory belongs to the other side; their CPU time is part of the sum.
    """
    with ExitStack() as stack:
        said = [(stack.enter_context(_unnamed()), stack.enter_context(_unnamed())) for _ in commands]
        before, start = os.times(), time.perf_counter()
        running = [_start(command, *pair) for command, pair in zip(commands, said, strict=True)]
        with MemoryWatch(lambda: [child.pid for child in running], without) as memory:
            for child in running:
                child.wait()
            wall_seconds = time.perf_counter() - start
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        peak = memory.peak_anonymous_bytes
        return [
            Measured(child.returncode, wall_seconds, cpu, peak, _text(out), _text(err))
            for child, (out, err) in zip(running, said, strict=True)
        ]


def _unnamed() -> IO[bytes]:
    """In no directory: a directory above the data would be another one at the next backup."""
    return os.fdopen(os.memfd_create("said"), "w+b")


def _start(command: Command, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command.words),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=command.environment,
        cwd=command.directory,
    )


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", errors="replace")
