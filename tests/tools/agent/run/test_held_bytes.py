"""What waits in memory is bounded by its bytes, also where a path has megabytes of attributes."""

import os
from pathlib import Path

from tools.agent.chunks.chunk import PendingChunk
from tools.agent.chunks.extent_list import ChunkList, held_bytes
from tools.agent.restore.restore_plan import WINDOW_BYTES, Planner
from tools.agent.scan.batch import BATCH_BYTES, ScanRow
from tools.agent.scan.fingerprint import NEVER_THE_SAME
from tools.agent.scan.link_sets import LinkSets
from tools.agent.scan.outbox import Outbox
from tools.client.manifest import Entry, Kind

MIB = 1024 * 1024


def row(number: int) -> ScanRow:
    return ScanRow(b"%d" % number, b"", (), bytes(MIB), 0, NEVER_THE_SAME)


def test_rows_that_wait_for_a_bundle_are_bounded_by_their_extras() -> None:
    outbox = Outbox()
    batch = outbox.begin_batch()
    outbox.bundle(b"content", bytes(32))
    fulls = [outbox.add_row(row(number)) for number in range(BATCH_BYTES // MIB)]
    assert fulls == [False] * (len(fulls) - 1) + [True]
    assert len(batch.rows) == len(fulls)


def test_rows_of_a_batch_are_bounded_by_their_extras() -> None:
    outbox = Outbox()
    outbox.begin_batch()
    assert [outbox.add_row(row(number)) for number in range(BATCH_BYTES // MIB)][-2:] == [False, True]


def linked(root: Path, name: str, names: int) -> os.stat_result:
    (root / name).touch()
    for number in range(1, names):
        os.link(root / name, root / f"{name}-{number}")
    return (root / name).stat()


def test_contents_of_files_with_more_names_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    sets: LinkSets[str] = LinkSets(b"k" * 32)
    statuses = [linked(tmp_path, f"{number:03}", 2) for number in range(70)]
    for number, status in enumerate(statuses):
        sets.note(status, str(number), MIB)
    found = [sets.find(status) for status in statuses]
    assert found == [None] * 38 + [str(number) for number in range(38, 70)]


def test_one_of_which_all_names_came_is_forgotten(tmp_path: Path) -> None:
    sets: LinkSets[str] = LinkSets(b"k" * 32)
    status = linked(tmp_path, "file", 3)
    sets.note(status, "content", 1)
    assert [sets.find(status) for _ in range(3)] == ["content", "content", None]


def test_a_list_of_chunks_counts_with_its_bytes(tmp_path: Path) -> None:
    chunks = ChunkList(tmp_path)
    for _ in range(1000):
        chunks.add(PendingChunk(b"x"))
    assert held_bytes(chunks) == 40_000
    assert held_bytes(()) == 40


def test_attributes_count_in_a_window_of_a_restore() -> None:
    planner = Planner()
    extras = {4: {b"user.large": bytes(MIB)}}
    entries = [
        Entry(b"%02d" % number, Kind.FIFO, 0o600, 0, 0, None, None, 0, 0, None, extras=extras) for number in range(20)
    ]
    windows = [window for entry in entries for window in planner.add(entry)]
    assert [len(window.steps) for window in windows] == [WINDOW_BYTES // MIB] * 2
