import random
import struct

import msgpack
import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.manifest_store import CUT_KEY, ID_KEY, ManifestStore, add, chunk, raw_entry
from tests.tools.client.vectors import load
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter


def is_cut_path(path):
    return struct.unpack("<Q", second.b3(path, CUT_KEY)[:8])[0] < 2**64 // 1024


def in_order(paths):
    return sorted(paths, key=lambda path: path.replace(b"/", b"\0"))


CANDIDATES = [b"d%03d/f%05d" % (i // 100, i) for i in range(30_000)]
CUT_PATHS = [path for path in CANDIDATES if is_cut_path(path)]
PLAIN_PATHS = [path for path in CANDIDATES[:3_000] if not is_cut_path(path)]


def write(entries, cut_key=CUT_KEY):
    """Writes (entry, content bytes) pairs; the store and the writer's answer."""
    store = ManifestStore()
    writer = ManifestWriter(cut_key, store.emit)
    for entry, content_bytes in entries:
        add(writer, entry, content_bytes)
    return store, writer.finish()


def assert_like_the_page(entries):
    """The same blocks as the second implementation, whatever their order, and the same top."""
    store, written = write(entries)
    expected = second.manifest(CUT_KEY, ID_KEY, entries)
    assert sorted(store.blocks) == sorted(expected)
    level, plaintext, companion_body = expected[-1]
    assert written.top_block == second.chunk_id(ID_KEY, 2, plaintext)
    assert written.top_companion == second.b3(companion_body)
    assert (written.level, written.entries) == (level, len(entries))
    assert written.content_bytes == sum(below for _, below in entries)
    return [len(msgpack.unpackb(block, strict_map_key=False)[4]) for at, block, _ in store.blocks if at == 0]


def test_the_frozen_leaf_is_written():
    v = load("manifest")
    array = msgpack.unpackb(v["leaf"], strict_map_key=False)
    chunks = sorted(v["chunks"])
    entries = []
    for raw in array[4]:
        raw[10] = [chunks[value] if i % 3 == 0 else value for i, value in enumerate(raw[10])]
        entries.append((raw, raw[8]))
    store, written = write(entries, v["cut_key"])
    assert store.blocks == [(0, v["leaf"], v["companion_body"])]
    assert (written.level, written.entries, written.content_bytes) == (0, 5, 329)


def test_a_manifest_without_entries_is_one_empty_leaf():
    store, written = write([])
    companion = second.companion_body(0, [], [])
    assert store.blocks == [(0, msgpack.packb([1, 0, second.b3(companion), b"", []]), companion)]
    assert (written.level, written.entries, written.content_bytes) == (0, 0, 0)


def test_a_leaf_ends_after_a_cut_path_once_it_is_large_enough():
    extras = {4: {b"user.a": bytes(150)}}
    paths = in_order([*PLAIN_PATHS[:400], *CUT_PATHS[:2], b"z0", b"z1"])
    entries = [(raw_entry(path, [(chunk(i % 150), i, 1000 + i)], extras), i) for i, path in enumerate(paths)]
    counts = assert_like_the_page(entries)
    assert len(counts) > 1


def test_a_cut_path_in_a_small_leaf_ends_nothing():
    assert_like_the_page([(raw_entry(path), 1) for path in CUT_PATHS])
    store, _ = write([(raw_entry(path), 1) for path in CUT_PATHS])
    assert len(store.blocks) == 1


@pytest.mark.parametrize("slack", range(-4, 5))
def test_the_smallest_leaf_is_counted_to_the_byte(slack):
    """The cut path's entry ends at 32 KiB plus slack; with 200 chunks some ordinals have two bytes."""
    extents = [(chunk(i), 5, 5) for i in range(200)]
    path = CUT_PATHS[0]
    entry = raw_entry(path, extents, {4: {b"user.a": bytes(1000)}})
    size, _ = second._leaf_entries([(entry, 0)])
    entry = raw_entry(path, extents, {4: {b"user.a": bytes(1000 + 32_768 - size + slack)}})
    size, _ = second._leaf_entries([(entry, 0)])
    assert size == 32_768 + slack
    counts = assert_like_the_page([(entry, 0), (raw_entry(b"z"), 0)])
    assert counts == ([1, 1] if slack >= 0 else [2])


@pytest.mark.parametrize("slack", range(-4, 5))
@pytest.mark.parametrize("chunks", [1, 129, 400])
def test_the_largest_leaf_is_counted_to_the_byte(slack, chunks):
    """Two entries that together have 512 KiB plus slack; the second's chunks also widen the first's ordinals."""

    def entries(filling):
        first = raw_entry(b"a", [(chunk(i), 5, 5) for i in range(chunks)], {4: {b"user.a": bytes(200_000)}})
        other = raw_entry(b"b", [(chunk(i + 200), 5, 5) for i in range(chunks)], {4: {b"user.a": bytes(filling)}})
        return [(first, 0), (other, 0)]

    size, _ = second._leaf_entries(entries(200_000))
    pair = entries(200_000 + 524_288 - size + slack)
    assert second._leaf_entries(pair)[0] == 524_288 + slack
    assert assert_like_the_page(pair) == ([2] if slack <= 0 else [1, 1])


def test_a_leaf_has_at_most_8192_chunks():
    many = [(chunk(i), 0, 1) for i in range(8_192)]
    for first, count in ((many[:8_191], [2]), (many, [1, 1])):
        entries = [(raw_entry(b"a", first), 0), (raw_entry(b"b", [(chunk(9_000), 0, 1)]), 0)]
        assert assert_like_the_page(entries) == count
    entries = [(raw_entry(b"a", many), 0), (raw_entry(b"b", many[5:9]), 0)]
    assert assert_like_the_page(entries) == [2]


def test_a_file_with_very_many_extents_continues():
    extents = [(chunk(i % 9_000), 0, i + 1) for i in range(20_000)]
    store, written = write([(raw_entry(b"a", extents, {8: 1}, size=5), 77), (raw_entry(b"b"), 1)])
    parts = [
        (raw_entry(b"a", extents[:8_192], {8: 1}, size=5), 77),
        (raw_entry(b"a", extents[8_192:16_384], size=5), 0),
        (raw_entry(b"a", extents[16_384:], size=5), 0),
        (raw_entry(b"b"), 1),
    ]
    assert sorted(store.blocks) == sorted(second.manifest(CUT_KEY, ID_KEY, parts))
    assert (written.entries, written.content_bytes) == (4, 78)


def test_random_trees_are_written_as_the_page_says():
    source = random.Random(7)
    for _ in range(4):
        entries = []
        for path in in_order({*source.sample(PLAIN_PATHS, 150), *source.sample(CUT_PATHS, 12)}):
            extents = [(chunk(source.randrange(400)), source.randrange(2**20), 1 + i) for i in range(3)]
            extras = {4: {b"user.a": bytes(source.choice([10, 100, 3_000, 9_000]))}}
            kept = extras if source.random() < 0.8 else None
            entries.append((raw_entry(path, extents[: source.randrange(4)], kept), source.randrange(1000)))
        assert len(assert_like_the_page(entries)) > 1


def one_entry_per_leaf(count, path_bytes=1):
    """Entries of which no two fit in a leaf; the ids of the leaves' rows decide where inner blocks end."""
    extras = {4: {b"user.a": bytes(270_000)}}
    return [(raw_entry(b"%05d" % i + b"x" * path_bytes, (), extras), i) for i in range(count)]


@pytest.mark.parametrize(("count", "path_bytes"), [(127, 1), (1_500, 1), (60, 200_000)], ids=["few", "many", "long"])
def test_inner_blocks_are_those_of_the_page(count, path_bytes):
    inner, rows = [], []

    def emit(plaintext, companion_body):
        id = second.chunk_id(ID_KEY, 2, plaintext)
        if companion_body[0]:
            inner.append((companion_body[0], plaintext, companion_body))
        else:
            i = len(rows)
            path = b"%05d" % i + b"x" * path_bytes
            rows.append([path, path, id, second.b3(companion_body), 1, i])
        return id

    writer = ManifestWriter(CUT_KEY, emit)
    for entry, content_bytes in one_entry_per_leaf(count, path_bytes):
        add(writer, entry, content_bytes)
    written = writer.finish()
    expected = second._inner_blocks(ID_KEY, rows, 1)
    assert len(rows) == written.entries == count
    assert sorted(inner) == sorted(expected)
    assert inner[-1] == expected[-1]
    assert written.level == expected[-1][0] >= (2 if count != 127 else 1)
    assert written.content_bytes == count * (count - 1) // 2
    assert all(len(plaintext) <= 4_194_304 for _, plaintext, _ in inner)


def test_a_change_in_the_middle_changes_few_blocks():
    """Each cut path ends a leaf that it and the siblings before it fill to more than 32 KiB."""
    entries = []
    for path in CUT_PATHS:
        for sibling in [*(path[:-1] + b"!%02d" % i for i in range(12)), path]:
            entries.append((raw_entry(sibling, [(chunk(1), 5, 7)], {4: {b"user.a": bytes(3_000)}}), 7))
    before, _ = write(entries)
    entries.insert(200, (raw_entry(entries[199][0][0] + b"new"), 0))
    after, _ = write(entries)
    assert len(before.blocks) == len(after.blocks) > 15
    assert len(set(after.blocks) - set(before.blocks)) == 2  # one leaf and the top


@pytest.mark.parametrize("path", [b"a", b"a/b", b""])
def test_entries_out_of_order_are_refused(path):
    store = ManifestStore()
    writer = ManifestWriter(CUT_KEY, store.emit)
    add(writer, raw_entry(b"a/b"))
    with pytest.raises(ValueError, match="sorted"):
        add(writer, raw_entry(path))
    add(writer, raw_entry(b"a!"))
    assert writer.finish().entries == 2


def test_an_entry_that_no_block_can_hold_is_refused_and_leaves_no_trace():
    good = [(raw_entry(b"a"), 1), (raw_entry(b"c"), 2)]
    expected, _ = write(good)
    store = ManifestStore()
    writer = ManifestWriter(CUT_KEY, store.emit)
    add(writer, *good[0])
    with pytest.raises(EntryTooLarge, match="524288"):
        add(writer, raw_entry(b"b", [], {4: {b"user.a": bytes(524_288)}}))
    with pytest.raises(EntryTooLarge, match="path"):
        add(writer, raw_entry(b"b" * 262_145))
    add(writer, *good[1])
    writer.finish()
    assert store.blocks == expected.blocks
