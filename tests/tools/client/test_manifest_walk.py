import struct

import msgpack
import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.manifest_store import CUT_KEY, ID_KEY, KEYRING, ManifestStore, add, chunk, raw_entry, walk
from tools.client.manifest_walk import (
    INNER_BLOCKS_AT_ONCE,
    LEAVES_AT_ONCE,
    BlockReference,
    CompanionMismatch,
    ManifestWalk,
)
from tools.client.manifest_writer import ManifestWriter
from tools.client.record_format import IntegrityError
from vaultd.operations.companion_format import parse_companion


def build(entries):
    store = ManifestStore()
    writer = ManifestWriter(CUT_KEY, store.emit)
    for entry in entries:
        add(writer, entry, 1)
    written = writer.finish()
    return store, BlockReference(written.top_block, written.top_companion, written.level)


def tree(directories, files, filling):
    """A root, directories and files; sorted as the writer wants them."""
    paths = [b""]
    for d in range(directories):
        paths.append(b"dir%03d" % d)
        paths += [b"dir%03d/file%03d" % (d, f) for f in range(files)]
        paths.append(b"dir%03d.txt" % d)
    extras = {4: {b"user.a": bytes(filling)}}
    return [raw_entry(path, [(chunk(i // 3), i, 5)], extras) for i, path in enumerate(paths)]


ENTRIES = tree(30, 20, 20_000)
STORE, TOP = build(ENTRIES)
PATHS = [entry[0] for entry in ENTRIES]


def test_all_entries_come_in_order_with_their_extents():
    assert TOP.level == 1
    walked = list(walk(STORE.fetch, TOP))
    assert [entry.path for entry in walked] == PATHS
    assert [entry.extents for entry in walked] == [((chunk(i // 3), i, 5),) for i in range(len(walked))]
    assert walked[3].extras == ENTRIES[3][11]


@pytest.mark.parametrize(
    "path",
    [
        b"dir000", b"dir004", b"dir029", b"dir004/file000", b"dir017/file019", b"dir004.txt",
        b"dir00", b"dir004/fil", b"!", b"zzz",
    ],
)  # fmt: skip
def test_only_what_is_at_and_below_a_path_comes(path):
    walked = [entry.path for entry in walk(STORE.fetch, TOP, path)]
    assert walked == [known for known in PATHS if known == path or known.startswith(path + b"/")]


def test_one_path_costs_one_block_per_level():
    STORE.fetches.clear()
    assert len(list(walk(STORE.fetch, TOP, b"dir017/file010"))) == 1
    assert [len(blocks) for blocks in STORE.fetches] == [1, 1]
    STORE.fetches.clear()
    assert list(walk(STORE.fetch, TOP, b"dir030")) == []
    assert [len(blocks) for blocks in STORE.fetches] == [1]


def test_many_blocks_are_asked_for_at_once_and_no_more_than_the_bound():
    entries = [raw_entry(b"%05d" % i + b"x" * 40_000, (), {4: {b"user.a": bytes(270_000)}}) for i in range(60)]
    store, top = build(entries)
    assert top.level >= 2
    assert [entry.path for entry in walk(store.fetch, top)] == [entry[0] for entry in entries]
    levels = {second.chunk_id(ID_KEY, 2, plaintext): level for level, plaintext, _ in store.blocks}
    for blocks in store.fetches:
        assert len({levels[block] for block in blocks}) == 1
        assert len(blocks) <= (INNER_BLOCKS_AT_ONCE if levels[blocks[0]] else LEAVES_AT_ONCE)
    assert sum(map(len, store.fetches)) == len(store.blocks)
    assert len(store.fetches) < len(store.blocks) / 2


def test_an_empty_manifest_has_no_entries():
    store, top = build([])
    assert list(walk(store.fetch, top)) == []
    assert list(walk(store.fetch, top, b"a")) == []


def test_a_file_that_continues_over_blocks_comes_in_all_its_parts():
    extents = [(chunk(i), 0, 1) for i in range(20_000)]
    store, top = build([raw_entry(b"a"), raw_entry(b"big", extents), raw_entry(b"c")])
    assert top.level == 1
    parts = list(walk(store.fetch, top, b"big"))
    assert [len(part.extents) for part in parts] == [8_192, 8_192, 20_000 - 16_384]
    assert [extent for part in parts for extent in part.extents] == extents


# Lies. The store is the vault's; the block's id was checked when its record was opened.


def lie(at, plaintext=None, companion=None):
    """The good store with one block's plaintext or companion record replaced."""

    def fetch(references):
        answers = []
        for reference in references:
            good_plaintext, good_companion = STORE.records[reference.block]
            if reference.block == at:
                answers.append((plaintext or good_plaintext, companion or good_companion))
            else:
                answers.append((good_plaintext, good_companion))
        return answers

    return list(walk(fetch, TOP))


FIRST = msgpack.unpackb(STORE.records[TOP.block][0])[3][0]
LEAF = msgpack.unpackb(STORE.records[FIRST[2]][0], strict_map_key=False)


def test_blocks_of_one_content_are_one_block():
    """A file of one byte over and over has the same chunk again and again, and with it the same leaf."""
    store, bodies = ManifestStore(), []

    def emit(plaintext, companion_body):
        bodies.append(companion_body)
        return store.emit(plaintext, companion_body)

    writer = ManifestWriter(CUT_KEY, emit)
    extents = [(chunk(0), 0, 4_194_304)] * 8_192
    parts = 60
    whole = raw_entry(b"zeros", extents, size=parts * 8_192 * 4_194_304)
    add(writer, whole, 1)
    prefix = b"".join(map(msgpack.packb, whole[:10]))
    for _ in range(parts - 1):
        writer.go_on(b"zeros", prefix, extents)
    written = writer.finish()
    for body in bodies:
        parse_companion(body, "companion")
    level, count = struct.unpack_from("<BI", bodies[-1])
    (children,) = struct.unpack_from("<I", bodies[-1], 5 + 32 * count)
    assert (level, count < children) == (written.level, True)
    walked = list(walk(store.fetch, BlockReference(written.top_block, written.top_companion, written.level)))
    assert [entry.path for entry in walked] == [b"zeros"] * parts
    assert all(entry.extents == tuple(extents) for entry in walked)


def test_another_companion_than_the_row_names_is_refused():
    other = second.companion_record(second.companion_body(0, [], []), KEYRING)
    with pytest.raises(IntegrityError, match="damaged or was altered"):
        lie(FIRST[2], companion=other)


def hostile_leaf(ids, companion=None):
    """A leaf and its companion by somebody with the keys, whose companion does not say what the leaf uses."""
    body = second.companion_body(0, ids, [])
    plaintext = msgpack.packb([1, 0, companion or second.b3(body), *LEAF[3:]])
    store = ManifestStore()
    block = store.emit(plaintext, body)
    return store, BlockReference(block, second.b3(body), 0)


def test_a_companion_that_leaves_out_or_adds_a_chunk_is_loud():
    chunks = [LEAF[3][i : i + 32] for i in range(0, len(LEAF[3]), 32)]
    store, top = hostile_leaf(chunks)
    assert len(list(walk(store.fetch, top))) == len(LEAF[4])
    for ids in (chunks[1:], [], sorted([*chunks, bytes(32)])):
        store, top = hostile_leaf(ids)
        with pytest.raises(CompanionMismatch, match=top.companion.hex()):
            list(walk(store.fetch, top))
    store, top = hostile_leaf(chunks, companion=bytes(32))
    with pytest.raises(CompanionMismatch):
        list(walk(store.fetch, top))


def hostile_top(change, ids=None, children=None, level=1):
    """A top with changed rows or a companion that says something else than its rows."""
    rows = [list(row) for row in msgpack.unpackb(STORE.records[TOP.block][0])[3]]
    change(rows)
    body = second.companion_body(
        level,
        sorted(row[2] for row in rows) if ids is None else ids(rows),
        [row[3] for row in rows] if children is None else children(rows),
    )
    store = ManifestStore()
    store.records.update(STORE.records)
    block = store.emit(msgpack.packb([1, level, second.b3(body), rows]), body)
    return store, BlockReference(block, second.b3(body), level)


def keep(rows):
    pass


def test_an_inner_companion_that_says_something_else_is_loud():
    store, top = hostile_top(keep)
    assert len(list(walk(store.fetch, top))) == len(PATHS)
    swapped = {
        "children": lambda rows: [rows[1][3], rows[0][3], *(row[3] for row in rows[2:])],
    }
    other = {"ids": lambda rows: sorted([bytes(32), *(row[2] for row in rows[1:])])}
    for lies in (swapped, other):
        store, top = hostile_top(keep, **lies)
        with pytest.raises(CompanionMismatch):
            list(walk(store.fetch, top))


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_row_that_does_not_say_what_its_block_holds_is_loud(at):
    def change(rows):
        rows[0][at] = {0: b"!", 1: rows[0][1] + b"!", 4: rows[0][4] + 1}[at]

    store, top = hostile_top(change)
    with pytest.raises(IntegrityError, match=r"row above|order"):
        list(walk(store.fetch, top))


def test_a_block_of_another_level_is_refused():
    store, top = hostile_top(keep, level=2)
    with pytest.raises(IntegrityError, match="level 0, not 1"):
        list(walk(store.fetch, top))


def test_a_path_that_could_lead_elsewhere_is_refused():
    with pytest.raises(ValueError, match="component"):
        ManifestWalk(TOP, b"a/../b")
