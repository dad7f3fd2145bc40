"""Wall time, CPU time and peak anonymous memory of a child process, read from outside."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Measured:
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_anonymous_bytes: int
    stdout: str
    stderr: str


class MemoryWatch:
    """Samples RssAnon of a process and keeps the highest value. Own thread; ends with the block or the process."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
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
        while not self._stop.wait(SAMPLE_SECONDS):
            try:
                text = self._status.read_text(encoding="ascii", errors="replace")
            except OSError:
                return
            for line in text.splitlines():
                if line.startswith("RssAnon:"):
                    self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, int(line.split()[1]) * 1024)


def measure(command: list[str], environment: dict[str, str] | None = None) -> Measured:
    before = os.times()
    start = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    with MemoryWatch(child.pid) as memory:
        stdout, stderr = child.communicate()
    wall_seconds = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(child.returncode, wall_seconds, cpu, memory.peak_anonymous_bytes, stdout, stderr)
