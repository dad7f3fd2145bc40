"""1 GiB of random bytes: first backup, both suites, and restic in turn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from benchmarks import restic
from benchmarks.site import Site

SIZE_BYTES = 1 << 30


def write_random_file(path: Path, size_bytes: int, seed: int) -> None:
    source = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(size_bytes >> 20):
            file.write(source.randbytes(1 << 20))


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    data = directory / "data"
    data.mkdir(parents=True)
    write_random_file(data / "random", SIZE_BYTES, seed)
    samples = []
    for number in range(rounds):
        for cipher in ("aes-256-cbc", "aes-256-gcm"):
            with Site(directory / f"{cipher}-{number}") as site:
                site.create_job("all", data, "--cipher", cipher)
                done = site.backup("all")
                samples.append(sample(cipher, number, done))
        if restic.is_here():
            with restic.Restic(directory / f"restic-{number}") as peer:
                samples.append(peer.backup("restic", number, data))
    return samples


def sample(case: str, number: int, done: Any) -> dict[str, Any]:
    return {
        "case": case,
        "round": number,
        "wall_seconds": round(done.agent.wall_seconds, 3),
        "agent_cpu_seconds": round(done.agent.cpu_seconds, 2),
        "vault_cpu_seconds": round(done.vault_cpu_seconds, 2),
        "agent_peak_anonymous_bytes": done.agent.peak_anonymous_bytes,
        "vault_peak_anonymous_bytes": done.vault_peak_anonymous_bytes,
        "uploaded_bytes": done.summary["uploaded_bytes"],
        "new_chunks": done.summary["new_chunks"],
        "files": done.summary["files"],
    }
