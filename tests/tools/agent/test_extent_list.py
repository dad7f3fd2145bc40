"""Extents of a file of any size: few bytes for each, and never all of them as objects or as blocks at once."""

import struct
import tracemalloc
from pathlib import Path

import msgpack
import pytest

from tools.agent.batch import Batch, ScanRow
from tools.agent.cache import Base, Belonging, Cache
from tools.agent.chunk import PendingChunk
from tools.agent.extent_list import ChunkList, PackedExtents
from tools.agent.feed import Feed
from tools.agent.fingerprint import NEVER_THE_SAME
from tools.agent.missed import Missed
from tools.agent.outgoing import Outgoing

UNDER_WAY = 100
PREFIX = b"".join(map(msgpack.packb, (b"file", 1, 0o644, 0, 0, None, None, 5, 7, None)))


def identified(number: int) -> PendingChunk:
    chunk = PendingChunk(b"")
    chunk.size_bytes = number + 1
    chunk.id = struct.pack(">QQQQ", number, 0, 0, 0)
    return chunk


def filled(count: int) -> ChunkList:
    """Ids are known some chunks later, as they are in a run."""
    extents = ChunkList()
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


def test_chunks_are_packed_in_order() -> None:
    for count in (0, 1, UNDER_WAY, 3 * UNDER_WAY + 5):
        expected = b"".join(struct.pack(">QQQQ", n, 0, 0, 0) + struct.pack("<II", 0, n + 1) for n in range(count))
        packed = filled(count).packed()
        assert packed == expected
        extents = PackedExtents(packed)
        assert len(extents) == count
        model = [(identified(number).id, 0, number + 1) for number in range(count)]
        assert list(extents) == model
        assert [extents[2:5], extents[:200], extents[count:]] == [model[2:5], model[:200], []]
        assert count == 0 or extents[count - 1] == model[-1]


def test_a_row_whose_chunks_have_no_ids_is_not_packed() -> None:
    extents = ChunkList()
    extents.add(PendingChunk(b"content"))
    with pytest.raises(ValueError, match="no id yet"):
        extents.packed()


def test_a_chunk_of_a_large_file_costs_few_bytes() -> None:
    tracemalloc.start()
    try:
        extents = filled(200_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
        assert peak_bytes < 100 * 200_000
        assert len(extents.packed()) == 40 * 200_000
    finally:
        tracemalloc.stop()


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
    packed = b"".join(struct.pack(">QQQQ", n, 0, 0, 0) + struct.pack("<II", 0, n + 1) for n in range(count))
    cache = Cache(tmp_path / "cache", Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1))
    cache.begin()
    maker = Blocks()
    feed = Feed(b"c" * 32, maker, cache, Missed())  # type: ignore[arg-type]
    rows: list[ScanRow | bytes] = [
        ScanRow(b"file", PREFIX, PackedExtents(packed), None, 7, NEVER_THE_SAME),
        ScanRow(b"last", PREFIX.replace(b"file", b"last"), (), None, 7, NEVER_THE_SAME),
    ]
    steps = [sum(len(item.content) for item in step) for step in feed.add(Batch(rows=rows))]
    if is_known:
        written, _ = feed.finish()
        cache.commit(Base(b"r" * 32, written.top_block, written.top_companion, written.level))
        cache.begin()
        maker.leaves.clear()
        feed = Feed(b"c" * 32, maker, cache, Missed())  # type: ignore[arg-type]
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
