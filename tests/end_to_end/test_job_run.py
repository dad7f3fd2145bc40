"""`vaultctl job run --wait`: who waits on a terminal sees how far the agent is, while it is still at work."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Site, environment

SOON_SECONDS = 60
# Files, bytes done and in all, bytes per second, time left.
LINE = re.compile(r"backing up  [\d,]+ files?  [\d.]+ [kMG]B of [\d.]+ [kM]B  [\d.]+ [kMG]B/s  [\d: ,hmins]+ left")


class Terminal:
    """A program whose output is a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self._screen, inside = pty.openpty()
        self.text = ""
        self.program = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment() | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL, stdout=inside, stderr=inside,
        )  # fmt: skip
        os.close(inside)

    def read_until(self, pattern: re.Pattern[str]) -> None:
        deadline = time.monotonic() + SOON_SECONDS
        while pattern.search(self.text) is None:
            left_seconds = max(0.0, deadline - time.monotonic())
            assert select.select([self._screen], [], [], left_seconds)[0], f"{pattern.pattern} not in {self.text!r}"
            self.text += os.read(self._screen, 65536).decode()

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._screen)


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    shown = Terminal(*words)
    try:
        yield shown
    finally:
        shown.close()


@contextmanager
def agent(site: Site, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Nobody watches this one."""
    process = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), *words],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_who_waits_sees_bytes_speed_and_time_left(site: Site, long_tree: Path) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "long", long_tree)
    words = ("tools.vaultctl", "--context", str(site.context("acme")), "job", "run", "pc", "long", "--wait")
    with terminal(*words) as waiting:
        waiting.read_until(re.compile("waiting for the agent of pc"))
        with agent(site, "backup", "long") as backup:
            waiting.read_until(LINE)
            backup.send_signal(signal.SIGTERM)
            waiting.read_until(re.compile(r"outcome +aborted"))
            assert waiting.program.wait(SOON_SECONDS) == 1
    assert not LINE.search(waiting.text.partition("the run has begun")[0])
