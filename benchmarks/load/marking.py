"""The filled vault is marked and swept by the daemon's own layers: `python -m benchmarks.load.marking DIR`.

One line of JSON for each step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.filled_vault import OWNER
from benchmarks.processes import anonymous_bytes
from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.container_use import ContainerUse
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


def main() -> None:
    vault = open_vault(load_config(Path(sys.argv[1])), SystemClock(), SystemDoor())
    before = anonymous_bytes([os.getpid()])
    work = KeyringCollection(vault, OWNER[0], OWNER[4], ContainerUse())
    work.begin()
    tell("marked", work.mark(), work, before)
    tell("swept", drops(work), work, before)
    work.end()
    close_vault(vault)


def tell(case: str, pieces: Iterator[object], work: KeyringCollection, before_bytes: int) -> None:
    wall, cpu, peak = time.perf_counter(), time.process_time(), 0
    for number, _ in enumerate(pieces):
        if number % 20 == 0:
            peak = max(peak, anonymous_bytes([os.getpid()]))
    figures = {
        "step": case,
        "ids": work.records_marked if case == "marked" else work.records_swept,
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "vault_cpu_seconds": round(time.process_time() - cpu, 3),
        "vault_peak_anonymous_bytes": max(peak, anonymous_bytes([os.getpid()])),
        "before_anonymous_bytes": before_bytes,
    }
    print(json.dumps(figures), flush=True)


def drops(work: KeyringCollection) -> Iterator[None]:
    for rows in work.sweep():
        if rows:
            work.would_drop(rows)
        yield


if __name__ == "__main__":
    main()
