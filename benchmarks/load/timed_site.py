"""A timed vault that may be filled before its start, is stopped and started again, and has one account."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.load.filled_vault import FREE_PAGES
from benchmarks.load.timed_vault import COLLECTS, NOTES
from benchmarks.processes import cpu_seconds
from benchmarks.site import program, run_json

UNDELETE_SECONDS = 1
# A deleted safeset is purged by then: its time, and two looks.
PURGED_SECONDS = UNDELETE_SECONDS + 2.5
COLLECTIONS_MAX = 6


class TimedSite:
    """`directory` must be on the disk that is to be measured. Use as a context manager; it is started by `start`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.vault = directory / "vault"
        self.admin = directory / "admin.context"
        self._notes = directory / "notes"
        self._daemon: subprocess.Popen[str] | None = None
        directory.mkdir(parents=True)
        made = run_json([*program("vaultd"), "init", str(self.vault), "--listen", "127.0.0.1:0", "--json"])
        self.url, self._operator = made["url"], made["context"]

    def __enter__(self) -> TimedSite:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fill(self, ids: int, seed: int, *, keeps_free_pages: bool = False) -> None:
        """A safeset uses so many chunks; it is in no agent's way. Before the first start."""
        words = [sys.executable, "-m", "benchmarks.load.filled_vault", str(self.vault), str(ids), str(seed)]
        words += [FREE_PAGES] if keeps_free_pages else []
        subprocess.run(words, check=True, env=of_ours())

    def start(self, *, collects: bool = False) -> None:
        """`collects`: without a pause; else only when asked."""
        environment = {
            **of_ours(),
            NOTES: str(self._notes),
            COLLECTS: str(int(collects)),
            "VAULTD_COLLECT_EVERY_SECONDS": "0",  # the timed vault asks itself, or nobody does
            "VAULTD_UNDELETE_SECONDS": str(UNDELETE_SECONDS),
        }
        words = [sys.executable, "-m", "benchmarks.load.timed_vault", "serve", str(self.vault)]
        with (self.directory / "vault.log").open("ab") as log:
            self._daemon = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert self._daemon.stdout is not None
        ready = self._daemon.stdout.readline()
        assert ready.startswith("listening on "), ready
        if not self.admin.exists():
            self.operate("account", "create", "bench", "--admin-context", str(self.admin))

    def stop(self) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.terminate()
            daemon.wait(60)
            assert daemon.stdout is not None
            daemon.stdout.close()

    def operate(self, *words: str) -> dict[str, Any]:
        return run_json([*program("vaultctl"), "--context", self._operator, *words, "--json"])

    def cpu_seconds(self) -> float:
        assert self._daemon is not None
        return cpu_seconds(self._daemon.pid)

    def collect(self) -> list[dict[str, Any]]:
        """One after another until one finds nothing to do."""
        done = [self.operate("collect")]
        while (done[-1]["records_dropped"] or done[-1]["containers_moved"]) and len(done) < COLLECTIONS_MAX:
            done.append(self.operate("collect"))
        return done

    def wait_until_purged(self) -> None:
        time.sleep(PURGED_SECONDS)

    def container_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.vault.rglob("*.container"))

    def notes(self, what: str) -> list[dict[str, float]]:
        """Of commits or collections, all since the first start."""
        lines = self._notes.read_text(encoding="ascii").splitlines() if self._notes.exists() else []
        return [note for note in map(json.loads, lines) if note["what"] == what]

    def collecting_share(self, begin_seconds: float, end_seconds: float) -> float:
        """Of this time, how much had a collection going on. Ask after `stop`: one is noted when it ends."""
        return share_of(self.notes("collection"), begin_seconds, end_seconds)


def share_of(notes: Sequence[Mapping[str, float]], begin_seconds: float, end_seconds: float) -> float:
    """Of this time, what the noted ones, of which no two went on at once, have of it together."""
    together = 0.0
    for note in notes:
        note_end_seconds = note["begin_seconds"] + note["seconds"]
        together += max(0.0, min(note_end_seconds, end_seconds) - max(note["begin_seconds"], begin_seconds))
    return together / (end_seconds - begin_seconds)
