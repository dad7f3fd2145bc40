"""Extents of a file of any size: never all of them in memory, as objects, as bytes or as blocks."""

import sqlite3
import struct
import tracemalloc
from pathlib import Path

import msgpack
import pytest

from tools.agent.cache.belonging import Base, Belonging
from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum
from tools.agent.chunks.chunk import PendingChunk
from tools.agent.chunks.extent_list import ChunkList
from tools.agent.missed import Missed
from tools.agent.run.feed import Feed
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.batch import Batch, ScanRow
from tools.agent.scan.fingerprint import NEVER_THE_SAME
from tools.agent.upload.outgoing import Outgoing
from tools.client.failure import Failure

BELONGING = Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1)
UNDER_WAY = 100
PREFIX = b"".join(map(msgpack.packb, (b"file", 1, 0o644, 0, 0, None, None, 5, 7, None)))


def identified(number: int) -> PendingChunk:
    chunk = PendingChunk(b"")
    chunk.size_bytes = number + 1
    chunk.id = struct.pack(">QQQQ", number, 0, 0, 0)
    return chunk


def filled(directory: Path, count: int) -> ChunkList:
    """Ids are known some chunks later, as they are in a run."""
    extents = ChunkList(directory)
    without_id: list[tuple[PendingChunk, bytes]] = []
    for number in range(count):
        chunk = identified(number)
        without_id.append((chunk, chunk.id))
        chunk.id = b""
        extents.add(chunk)
        if len(without_id) == UNDER_WAY:
            for waiting, id in without_id:
                waiting.id = id
            without_id.clear()
    for waiting, id in without_id:
        waiting.id = id
    return extents


def packed_model(count: int) -> bytes:
    return b"".join(struct.pack(">QQQQ", n, 0, 0, 0) + struct.pack("<II", 0, n + 1) for n in range(count))


@pytest.mark.parametrize("count", [0, 1, UNDER_WAY, 3 * UNDER_WAY + 5, 8192, 8193, 40_000])
def test_chunks_are_packed_in_order(tmp_path: Path, count: int) -> None:
    parts = list(filled(tmp_path, count).parts())
    assert b"".join(parts) == packed_model(count)
    assert [len(part) // 40 for part in parts] == [8192] * (count // 8192) + [count % 8192] * (count % 8192 > 0)


def test_a_row_whose_chunks_have_no_ids_is_not_packed(tmp_path: Path) -> None:
    extents = ChunkList(tmp_path)
    extents.add(PendingChunk(b"content"))
    with pytest.raises(ValueError, match="no id yet"):
        next(extents.parts())


@pytest.mark.parametrize("count", [100_000, 400_000])
def test_memory_does_not_grow_with_the_chunks_of_a_file(tmp_path: Path, count: int) -> None:
    tracemalloc.start()
    try:
        assert sum(len(part) for part in filled(tmp_path, count).parts()) == 40 * count
        _, peak_bytes = tracemalloc.get_traced_memory()
        assert peak_bytes < 3 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_cannot_be_kept_is_not_taken_for_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="list of a large file's chunks cannot be kept"):
        filled(tmp_path / "away", 100_000)


class Blocks:
    """Makes nothing of blocks but something to send."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def block(self, plaintext: bytes, companion_body: bytes) -> tuple[Outgoing, Outgoing]:
        if plaintext[2] == 0:
            self.leaves.append(plaintext)
        return Outgoing(2, struct.pack(">QQQQ", len(self.leaves), 1, 0, 0), plaintext), Outgoing(3, b"", companion_body)


@pytest.mark.parametrize("is_known", [False, True])
def test_the_blocks_of_a_large_file_are_handed_over_some_at_a_time(tmp_path: Path, is_known: bool) -> None:
    count = 200_000
    cache = Cache(tmp_path / "cache", BELONGING)
    cache.begin()
    maker = Blocks()
    feed = Feed(b"c" * 32, maker, cache, Missed(), RunJournal(tmp_path / "journal", BELONGING))  # type: ignore[arg-type]
    rows: list[ScanRow | bytes] = [
        ScanRow(b"file", PREFIX, filled(tmp_path, count), None, 7, NEVER_THE_SAME),
        ScanRow(b"last", PREFIX.replace(b"file", b"last"), (), None, 7, NEVER_THE_SAME),
    ]
    steps = [sum(len(item.content) for item in step) for step in feed.add(Batch(rows=rows))]
    if is_known:
        written, _ = feed.finish()
        cache.commit(Base(b"r" * 32, written.top_block, written.top_companion, written.level))
        cache.begin()
        maker.leaves.clear()
        feed = Feed(b"c" * 32, maker, cache, Missed(), RunJournal(tmp_path / "journal", BELONGING))  # type: ignore[arg-type]
        assert list(feed.add(Batch(rows=[b"file"]))) == []
        steps = [sum(len(item.content) for item in step) for step in feed.add(Batch(gone=[b"last"]))]
    assert len(steps) > 1
    assert max(steps) < 11 * 1024 * 1024
    feed.finish()
    found = []
    for leaf in maker.leaves:
        _, _, _, chunks, entries = msgpack.unpackb(leaf)
        for entry in entries:
            flat = entry[10]
            for i in range(0, len(flat), 3):
                found.append((int.from_bytes(chunks[32 * flat[i] :][:8], "big"), flat[i + 2]))
    assert found == [(number, number + 1) for number in range(count)]


FIRST, SECOND, THIRD = (bytes([n]) * 40 for n in (1, 2, 3))


def cached_with(tmp_path: Path, parts: list[bytes]) -> Cache:
    """A cache of one path that has these parts behind its first."""
    cache = Cache(tmp_path / "cache", BELONGING)
    cache.begin()
    write_row(cache, parts)
    cache.commit(Base(b"r" * 32, b"b" * 32, b"c" * 32, 0))
    return cache


def write_row(cache: Cache, parts: list[bytes]) -> None:
    for number, part in enumerate(parts, 1):
        cache.add_extents(b"file", number, part)
    checksum = row_checksum(b"file", PREFIX, FIRST, None, len(parts))
    cache.change([CachedRow(b"file", 1, 2, 3, 4, PREFIX, FIRST, len(parts), None, checksum)], [])


def stored_parts(cache: Cache) -> list[bytes]:
    (row,) = cache.rows()
    return list(cache.further_extents(row))


def parts_in(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        count: int = connection.execute("SELECT count(*) FROM further_extents").fetchone()[0]
    connection.close()
    return count


def test_the_parts_of_a_path_are_those_of_its_last_change(tmp_path: Path) -> None:
    cache = cached_with(tmp_path, [SECOND, THIRD])
    assert stored_parts(cache) == [SECOND, THIRD]
    cache.begin()
    write_row(cache, [THIRD])
    cache.commit(Base(b"r" * 32, b"b" * 32, b"c" * 32, 0))
    assert stored_parts(cache) == [THIRD]
    cache.begin()
    cache.change([], [b"file"])
    cache.commit(Base(b"r" * 32, b"b" * 32, b"c" * 32, 0))
    cache.close()
    assert parts_in(tmp_path / "cache") == 0


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM further_extents WHERE number = 1",
        "UPDATE further_extents SET extents = zeroblob(40) WHERE number = 2",
        "UPDATE further_extents SET extents = (SELECT extents FROM further_extents WHERE number = 1) WHERE number = 2",
    ],
)
def test_damaged_parts_are_not_handed_on(tmp_path: Path, damage: str) -> None:
    cached_with(tmp_path, [SECOND, THIRD]).close()
    with sqlite3.connect(tmp_path / "cache") as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="extents of a large file are damaged"):
        stored_parts(Cache(tmp_path / "cache", BELONGING))
