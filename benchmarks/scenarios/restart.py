"""How long a vault with 1,000,000 chunks needs from its start to "listening on": after an orderly stop, after it was
killed in mid-upload, and without index and catalog. Caches are dropped before each start, as after a power cut; that
needs root.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.measure import MemoryWatch
from benchmarks.processes import cpu_seconds
from benchmarks.site import program, run_json

CHUNKS = 1_000_000
BODY_BYTES = 2048


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    vault = directory / "vault"
    run_json([*program("vaultd"), "init", str(vault), "--listen", "127.0.0.1:0", "--json"])
    filler = [sys.executable, "-m", "benchmarks.store_filler", str(vault)]
    filling = [*filler, str(CHUNKS), str(BODY_BYTES), str(seed)]
    subprocess.run(filling, check=True, stdout=subprocess.DEVNULL, env=of_ours())
    samples = [start("after an orderly stop", number, vault) for number in range(rounds)]
    moments = random.Random(seed)
    for number in range(rounds):
        kill_in_upload([*filler, "0", str(BODY_BYTES), str(seed + 1 + number)], moments.uniform(0.05, 0.5))
        samples.append(start("after a kill in mid-upload", number, vault))
    shutil.rmtree(vault / "index")
    shutil.rmtree(vault / "catalog")
    samples.append(start("without index and catalog", 0, vault))
    return samples


def kill_in_upload(command: list[str], after_seconds: float) -> None:
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=of_ours())
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(after_seconds)
    writer.kill()
    writer.wait()


def start(case: str, number: int, vault: Path) -> dict[str, Any]:
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    began = time.perf_counter()
    with (vault.parent / "vault.log").open("ab") as log:
        daemon = subprocess.Popen(
            [*program("vaultd"), "serve", str(vault)], stdout=subprocess.PIPE, stderr=log, text=True, env=of_ours()
        )
    with MemoryWatch(daemon.pid) as memory:
        assert daemon.stdout is not None
        ready = daemon.stdout.readline()
        seconds = time.perf_counter() - began
        assert ready.startswith("listening on "), ready
        processor_seconds = cpu_seconds(daemon.pid)
    daemon.send_signal(signal.SIGTERM)
    if daemon.wait(60) != 0:
        raise RuntimeError(f"the vault ended with {daemon.returncode}")
    return {
        "case": case,
        "round": number,
        "wall_seconds": seconds,
        "vault_cpu_seconds": processor_seconds,
        "vault_peak_anonymous_bytes": memory.peak_anonymous_bytes,
        "stored_bytes": sum(path.stat().st_size for path in vault.rglob("*.container")),
    }
