"""400 runs with small changes: chunks, what a restore fetches and what is sent stay near the bytes that are there."""

import shutil
import time
from dataclasses import dataclass

import pytest

from tests.support.aged_tree import AgedTree, chunks_of_newest
from tests.tools.agent.conftest import Site, differences

MIB = 1 << 20
# As docs/performance.md says.
SMALL_BUNDLES_MAX = 16
FETCHED_SHARE_MAX = 2.0
REMADE_BYTES_MAX = 4 * MIB


@dataclass
class Aged:
    """Of many runs: the most of each."""

    chunks: float = 0
    fetched_share: float = 0
    remade_bytes: int = 0
    sent_share: float = 0


async def age(site: Site, tree: AgedTree, runs: int, changes: int) -> Aged:
    found, changed_bytes, sent_bytes = Aged(), 0, 0
    for _ in range(runs):
        changed_bytes += tree.change(changes)
        done = await site.back_up()
        chunks = chunks_of_newest(site.vault.records, site.vault.roots)
        sent_bytes += done.sent.content_bytes
        found.chunks = max(found.chunks, len(chunks))
        fetched_bytes = sum(len(site.vault.records[id]) for id in chunks)
        found.fetched_share = max(found.fetched_share, fetched_bytes / tree.total_bytes)
        found.remade_bytes = max(found.remade_bytes, done.scanned.remade_bytes)
    found.sent_share = sent_bytes / changed_bytes
    return found


@pytest.mark.parametrize(("changes", "sent_share_max"), [(5, 4.0), (1, 6.0)], ids=["daily", "hourly"])
async def test_four_hundred_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch, changes: int, sent_share_max: float
) -> None:
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10_000_000_000)  # what was just written is old enough
    tree = AgedTree(site.source, 7, files=500, mean_bytes=24_000)
    await site.back_up()
    first = site.directory / "first"
    shutil.copytree(site.source, first)
    aged = await age(site, tree, 400, changes)
    assert aged.chunks <= 2 * tree.total_bytes / MIB + SMALL_BUNDLES_MAX
    assert aged.fetched_share < FETCHED_SHARE_MAX
    assert 0 < aged.remade_bytes <= REMADE_BYTES_MAX
    assert aged.sent_share < sent_share_max
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    site.target.rename(site.directory / "newest")
    await site.restore(sequence=1)
    assert differences(first, site.restored_source) == ""
