"""A short share of `make hour`: real vault and agents, collections beside runs, and every live safeset compared."""

from __future__ import annotations

from pathlib import Path

from tests.hour.hour import Hour, Plan
from tests.hour.tree import CHUNK_FILE_BYTES, MIB, Sizes, one_chunk
from tools.client.chunker import BUNDLE_MIN_BYTES, bundle_ends_after

AGENTS = 2
# The vault looks each second for what is to be purged, and most of what a round brings is not needed after two more.
SIZES = Sizes(
    chunk_files=16, new_chunk_files=10, small_files=6, large_bytes=3 * MIB, new_large_bytes=MIB, noise_bytes=6 * MIB
)
PLAN = Plan(seconds=8, agents=AGENTS, seed=5, kept=2, undelete_seconds=0, sizes=SIZES)


def test_collections_beside_runs_cost_no_live_safeset_anything(tmp_path: Path) -> None:
    told: list[str] = []
    hour = Hour(Plan(PLAN.seconds, AGENTS, PLAN.seed, tmp_path, 2, 0, SIZES), lambda part, *_: told.append(part))
    is_good = False
    try:
        report = hour.run()
        is_good = True
    finally:
        hour.close(is_good=is_good)
    assert report.shortcomings() == []
    assert report.restored.safesets >= AGENTS
    assert report.restored.files > report.restored.safesets * SIZES.chunk_files // 2
    assert (report.chunks > 10, report.purged > AGENTS) == (True, True)
    assert set(told) == {"seconds", "restores"}
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_hour_is_a_chunk_of_its_own() -> None:
    content = one_chunk("some name")
    assert len(content) == CHUNK_FILE_BYTES == BUNDLE_MIN_BYTES
    assert bundle_ends_after(CHUNK_FILE_BYTES, b"\xff" * 32, CHUNK_FILE_BYTES)
    assert one_chunk("another name")[:65] != content[:65]
