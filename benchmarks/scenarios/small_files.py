"""/usr/share (or another tree): first backup, unchanged, and a copy of the tree beside itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks import restic
from benchmarks.scenarios.random_file import sample
from benchmarks.site import Site

TREE = Path(os.environ.get("SAFESET_BENCH_TREE", "/usr/share"))


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del seed  # the tree is what the machine has
    samples = []
    for number in range(rounds):
        with Site(directory / f"site-{number}") as site:
            site.create_job("share", TREE)
            samples.append(sample("first", number, site.backup("share")))
            samples.append(sample("unchanged", number, site.backup("share")))
        if restic.is_here():
            with restic.Restic(directory / f"restic-{number}") as peer:
                samples.append(peer.backup("restic first", number, TREE))
                samples.append(peer.backup("restic unchanged", number, TREE))
    samples.append(copy_beside(directory))
    return samples


def copy_beside(directory: Path) -> dict[str, Any]:
    data = directory / "twice"
    shutil.copytree(TREE, data / "one", symlinks=True)
    with Site(directory / "site-copy") as site:
        site.create_job("twice", data)
        site.backup("twice")
        before = site.stored_bytes()
        shutil.copytree(data / "one", data / "two", symlinks=True)
        done = site.backup("twice")
        after = site.stored_bytes()
    return {**sample("copy", 0, done), "stored_before_bytes": before, "stored_added_bytes": after - before}
