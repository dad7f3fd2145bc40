"""A line between agent and vault: the counting and delaying proxy of benchmarks/network, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.environment import of_ours

PROXY = "benchmarks.network.proxy"


@dataclass(frozen=True, slots=True)
class Line:
    """Zero for both is a line that only counts."""

    round_trip_ms: int = 0
    rate_mbit: int = 0


def is_here() -> bool:
    return find_spec("benchmarks.network") is not None and find_spec(PROXY) is not None


class Detour:
    """Use as a context manager: `port` leads to `to_port`; `counts` are there after the block."""

    def __init__(self, to_port: int, line: Line, counts_file: Path) -> None:
        self._counts_file = counts_file
        self._words = [sys.executable, "-m", PROXY, "--to", f"127.0.0.1:{to_port}", "--counts", str(counts_file)]
        if line.round_trip_ms:
            self._words += ["--round-trip-ms", str(line.round_trip_ms)]
        if line.rate_mbit:
            self._words += ["--rate-mbit", str(line.rate_mbit)]
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Detour:
        self._proxy = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True, env=of_ours())
        assert self._proxy.stdout is not None
        ready = self._proxy.stdout.readline()
        if not ready.startswith("listening on "):
            raise RuntimeError(f"the proxy said {ready!r}")
        self.port = int(ready.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.terminate()
        self._proxy.wait(60)
        assert self._proxy.stdout is not None
        self._proxy.stdout.close()
        told = json.loads(self._counts_file.read_text(encoding="utf-8"))
        self.counts = {
            "bytes_sent": told["bytes_up"],
            "bytes_received": told["bytes_down"],
            "round_trips": told["round_trips"],
        }
