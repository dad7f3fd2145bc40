"""How fast a vault reads and checks all that it stores: random records in containers, `vaultctl scrub --wait`.

A scrub rests as long as it works, and nothing turns that off: what one processor does is bytes over the daemon's
processor time, and the wall time has the rest in it.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.load.timed_site import TimedSite

RECORDS, BODY_BYTES = 4_096, 1 << 20


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    with TimedSite(directory / "site") as site:
        words = [sys.executable, "-m", "benchmarks.store_filler", str(site.vault), str(RECORDS), str(BODY_BYTES)]
        subprocess.run([*words, str(seed)], check=True, stdout=subprocess.DEVNULL, env=of_ours())
        site.start()
        site.operate("scrub", "--wait")  # not counted: what the first one loads
        return [_sample(site, number) for number in range(rounds)]


def _sample(site: TimedSite, number: int) -> dict[str, Any]:
    before = site.cpu_seconds()
    done = site.operate("scrub", "--wait")
    cpu_seconds = site.cpu_seconds() - before
    wall = datetime.fromisoformat(done["ended"]) - datetime.fromisoformat(done["begin"])
    if done["records_damaged"] or done["places_damaged"] or done["unread"]:
        raise RuntimeError(f"the scrub did not read all well: {done}")
    return {
        "case": "random records of 1 MiB",
        "round": number,
        "bytes": done["bytes"],
        "records": done["records"],
        "wall_seconds": wall.total_seconds(),
        "vault_cpu_seconds": cpu_seconds,
    }
