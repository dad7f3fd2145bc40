"""A vault with millions of chunks is asked for as many ids, half of which it has. No peer is asked anything of the
kind: restic and borg load an index of their own, so that this row has none beside it.

All is really sent, stored and indexed, by one client over TLS, in tiny records.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.environment import of_ours
from benchmarks.measure import Command, MemoryWatch, measure_together
from benchmarks.processes import cpu_seconds, mapped_bytes, peak_resident_bytes
from benchmarks.site import Site

JOB = "offers"
INDEX = "data.mdb"
# Of all ids; the vault's memory is looked at with each, so that its slope can be told.
STEPS = (0.1, 0.2, 0.5, 1.0)


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    """With each number of chunks as many ids are offered; with the last one in `rounds` rounds."""
    (directory / "nothing").mkdir()
    samples, held = [], 0
    with Site(directory / "site") as site:
        site.create_job(JOB, directory / "nothing")
        site.backup(JOB)  # makes the keyring
        for count in (round(scale.offered_ids * step) for step in STEPS):
            samples.append(sample(site, seed, ("store", held, count - held), 0, count))
            held = count
            for number in range(rounds if count == scale.offered_ids else 1):
                samples.append(sample(site, seed, ("offer", number * held, held, held), number, held))
    return {"samples": samples}


def sample(site: Site, seed: int, action: tuple[str, *tuple[int, ...]], number: int, held: int) -> dict[str, Any]:
    """`held`: chunks that are in the vault after it."""
    words = [sys.executable, "-m", "benchmarks.load.offering", str(site.state), str(seed), *map(str, action)]
    before = cpu_seconds(site.vault.pid)
    with MemoryWatch(site.vault.pid) as vault_memory:
        (done,) = measure_together([Command(words, of_ours())])
    if done.exit_code != 0:
        raise RuntimeError(f"{words} ended with {done.exit_code}: {done.stderr[-800:]}")
    taken = {
        "case": f"{'stored' if action[0] == 'store' else 'offered'}, {held:,} held",
        "round": number,
        "action": action[0],
        "ids": action[2],
        "held": held,
        **json.loads(done.stdout),
        "vault_cpu_seconds": round(cpu_seconds(site.vault.pid) - before, 2),
        "agent_peak_anonymous_bytes": done.peak_anonymous_bytes,
        "vault_peak_anonymous_bytes": vault_memory.peak_anonymous_bytes,
        "vault_peak_resident_bytes": peak_resident_bytes(site.vault.pid),
        "vault_mapped_bytes": mapped_bytes(site.vault.pid, INDEX),
        "stored_bytes": site.stored_bytes(),
    }
    print(f"  round {number + 1}, {taken['case']}: {taken['wall_seconds']:.2f} s", flush=True)
    return taken
