"""400 runs of a tree of small files that changes a little before each: chunks, bytes fetched, read again and sent.

The agent's own code against the vault in dictionaries of the tests, in one process: what is counted does not depend on
time, and 800 runs of whole programs would take an hour. `rounds` says nothing: the seed decides everything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trio

from tests.support.aged_tree import AgedTree, chunks_of_newest
from tests.tools.agent.conftest import Site, make_site

RUNS = 400
FILES, MEAN_BYTES = 4_000, 60_000
CASES = {"daily: 1 % of the files": FILES // 100, "hourly: one file": 1}


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del rounds
    real = time.time_ns
    # What was written just before a run is old enough to be trusted.
    with patch.object(time, "time_ns", lambda: real() + 10_000_000_000):
        return [
            sample
            for number, (case, changes) in enumerate(CASES.items())
            for sample in trio.run(age, begin(directory / f"{number}", seed), case, changes)
        ]


def begin(directory: Path, seed: int) -> tuple[Site, AgedTree]:
    directory.mkdir(parents=True)
    site = make_site(directory)
    return site, AgedTree(site.source, seed, FILES, MEAN_BYTES)


async def age(begun: tuple[Site, AgedTree], case: str, changes: int) -> list[dict[str, Any]]:
    site, tree = begun
    samples = [await one_run(site, tree, {"case": case, "run": 0, "changed_bytes": tree.total_bytes})]
    for number in range(1, RUNS + 1):
        changed_bytes = tree.change(changes)
        samples.append(await one_run(site, tree, {"case": case, "run": number, "changed_bytes": changed_bytes}))
    return samples


async def one_run(site: Site, tree: AgedTree, begun: dict[str, Any]) -> dict[str, Any]:
    done = await site.back_up()
    chunks = chunks_of_newest(site.vault.records, site.vault.roots)
    return {
        **begun,
        "tree_bytes": tree.total_bytes,
        "chunks": len(chunks),
        "fetched_bytes": sum(len(site.vault.records[id]) for id in chunks),
        "remade_bytes": done.scanned.remade_bytes,
        "sent_bytes": done.sent.content_bytes,
        "stored_bytes": sum(map(len, site.vault.records.values())),
    }
