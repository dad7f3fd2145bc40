"""A new index of many small records takes no more memory than one of few: containers, groups and entries pass by."""

import shutil
import tracemalloc
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import create, make_settings, records, reopen
from vaultd.store.index import stored_rows
from vaultd.store.recovery import found_records

FEW, FACTOR = 3_000, 4
GROUP = 500


def peak_bytes(root: Path, count: int) -> int:
    """Of what Python holds; LMDB's own pages are those of one batch."""
    root.mkdir()
    settings = make_settings(root, container_bytes=256 * 1024, journal_segment_bytes=16 * 1024)
    store = create(settings)
    for start in range(0, count, GROUP):
        store.append(0, records(*range(start, start + GROUP), size=64))
        store.commit()
    store.close()
    assert len(list(root.glob("disk0/containers/*/*"))) > count // 3000
    assert len(list(root.glob("disk0/journal/*"))) > count // 1000
    shutil.rmtree(settings.index_path)
    tracemalloc.start()
    try:
        store = reopen(settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.statistics().records == count
    store.close()
    return peak


def test_the_memory_of_a_new_index_does_not_grow_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found_records, "_BATCH_RECORDS", 500)
    monkeypatch.setattr(stored_rows, "_BATCH_ROWS", 500)
    # The least of two: a table of Python's own, that of all names, may grow by megabytes beside one of them.
    few, many = (
        min(peak_bytes(tmp_path / f"{count}-{turn}", count) for turn in range(2)) for count in (FEW, FEW * FACTOR)
    )
    assert many < 1.5 * few, (few, many)
