"""How fast a keyring with ten million chunks is marked and swept, and what memory that takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.site import program, run_json

ROWS = 10_000_000


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del rounds  # filling the index takes minutes, and the steps seconds
    vault = directory / "vault"
    run_json([*program("vaultd"), "init", str(vault), "--listen", "127.0.0.1:0", "--json"])
    words = [sys.executable, "-m", "benchmarks.load.marking", str(vault), str(ROWS), str(seed)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=of_ours())
    return [_sample(json.loads(line)) for line in done.stdout.splitlines()]


def _sample(told: dict[str, Any]) -> dict[str, Any]:
    step = told.pop("step")
    return {"case": f"{step}: {told['ids']:,}", "round": 0, **told}
