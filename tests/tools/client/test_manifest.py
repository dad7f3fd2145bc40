from dataclasses import replace

import msgpack
import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.manifest import (
    Entry,
    Extra,
    Inner,
    Kind,
    Leaf,
    Row,
    check_path,
    has_streams,
    own_content_bytes,
    sort_key,
)
from tools.client.manifest_decode import decode_block
from tools.client.record_format import IntegrityError

V = load("manifest")
CHUNKS = V["chunks"]
H1, H2 = V["hashes"]
ENTRIES = (
    Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, "root", "root", 5, 0, None),
    Entry(b"a", Kind.DIRECTORY, 0o755, 0, 0, "root", "root", -5, 0, None),
    Entry(
        b"a/b", Kind.FILE, 0o644, 1000, 1000, None, None, 10**18, 300, H1,
        ((CHUNKS[2], 0, 100), (CHUNKS[0], 50, 200)),
    ),
    Entry(b"a/l", Kind.SYMBOLIC_LINK, 0o777, 0, 0, "root", "root", 6, 0, None, (), {Extra.LINK_TARGET: b"../x"}),
    Entry(
        b"a.txt", Kind.FILE, 0o4755, 0, 0, "root", "root", 7, 29, H2,
        ((CHUNKS[1], 4_000_000, 9), (CHUNKS[2], 100, 70_000)),
        {
            Extra.LINK_SET: V["link_set"], Extra.ATTRIBUTES: {b"user.k": b"v", b"user.large": [70_000, H1]},
            Extra.HOLES: [9, 20], Extra.FLAGS: 1,
        },
    ),
)  # fmt: skip
LEAF = V["leaf"]


def test_the_frozen_leaf_holds():
    assert second.chunk_id(V["id_key"], 2, LEAF) == V["block_id"]
    assert decode_block(LEAF) == Leaf(V["companion_id"], tuple(sorted(CHUNKS)), ENTRIES)


def test_the_frozen_link_set_is_that_of_the_page():
    key = second.b3(b"safeset link set v1", V["id_key"])
    device_and_inode = V["device"].to_bytes(8, "little") + V["inode"].to_bytes(8, "little")
    assert second.b3(device_and_inode, key)[:16] == V["link_set"]


def test_a_large_attribute_is_not_the_entrys_own_content():
    assert own_content_bytes(ENTRIES[4]) == 9
    assert own_content_bytes(replace(ENTRIES[4], extras={Extra.ATTRIBUTES: {b"user.k": b"v"}})) is None
    directory = replace(ENTRIES[1], extras={Extra.ATTRIBUTES: {b"user.large": [70_000, H1]}})
    assert own_content_bytes(directory) == 0


def test_a_directory_that_could_not_be_listed_says_so():
    assert decode_block(changed(LEAF, 4, 1, [*RAW[1], {8: 4}])).entries[1].extras == {8: 4}


def test_paths_are_sorted_component_by_component():
    wanted = [b"", b"a", b"a/b", b"a/b/c", b"a/b!", b"a!", b"a.txt", b"ab", b"b\xff", b"\xff"]
    by_components = sorted(wanted, key=lambda path: path.split(b"/") if path else [])
    assert sorted(reversed(wanted), key=sort_key) == by_components == wanted


@pytest.mark.parametrize("path", [b"", b"a", b"a/..b/c.", b"...", b"\xff\xfe", b"a" * 4096])
def test_raw_paths_are_taken(path):
    check_path(path)


@pytest.mark.parametrize(
    "path", [b"/", b"/a", b"a/", b"a//b", b".", b"..", b"a/.", b"../a", b"a/../b", b"./a", b"a\0b", b"a" * 262_145]
)
def test_paths_that_could_lead_elsewhere_are_refused(path):
    with pytest.raises(ValueError, match="path"):
        check_path(path)


def changed(packed, *path_and_value):
    *path, last, value = path_and_value
    array = msgpack.unpackb(packed, strict_map_key=False)
    place = array
    for step in path:
        place = place[step]
    place[last] = value
    return msgpack.packb(array)


def leaf_with(entries):
    return changed(LEAF, 4, entries)


RAW = msgpack.unpackb(LEAF, strict_map_key=False)[4]


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (changed(LEAF, 0, 2), "version"),
        (changed(LEAF, 1, 256), "level"),
        (changed(LEAF, 1, -1), "level"),
        (changed(LEAF, 1, 1), "inner block"),
        (changed(LEAF, 2, bytes(31)), "companion"),
        (changed(LEAF, 3, bytes(31)), "chunks"),
        (changed(LEAF, 3, bytes(64)), "ascending"),
        (changed(LEAF, 3, b"".join(n.to_bytes(32, "big") for n in range(8193))), "chunks"),
        (changed(LEAF, 4, {}), "entries"),
        (leaf_with([RAW[1], RAW[0]]), "order"),
        (leaf_with([RAW[4], RAW[2]]), "order"),
        (leaf_with([RAW[0][:10]]), "11 or 12"),
        (leaf_with([[*RAW[4], 1]]), "11 or 12"),
        (leaf_with([b"entry"]), "11 or 12"),
        (changed(LEAF, 4, 2, 0, "a/b"), "path"),
        (changed(LEAF, 4, 2, 0, b"a/../b"), "component"),
        (changed(LEAF, 4, 2, 0, b"/etc"), "component"),
        (changed(LEAF, 4, 2, 1, 0), "kind"),
        (changed(LEAF, 4, 2, 1, 256), "kind"),
        (changed(LEAF, 4, 2, 2, 0o10000), "mode"),
        (changed(LEAF, 4, 2, 3, -1), "uid"),
        (changed(LEAF, 4, 2, 4, 2**32), "gid"),
        (changed(LEAF, 4, 2, 5, b"root"), "user"),
        (changed(LEAF, 4, 2, 6, 1), "group"),
        (changed(LEAF, 4, 2, 7, 2**63), "mtime"),
        (changed(LEAF, 4, 2, 7, 1.5), "mtime"),
        (changed(LEAF, 4, 2, 8, -1), "size"),
        (changed(LEAF, 4, 2, 9, bytes(16)), "hash"),
        (changed(LEAF, 4, 2, 10, [0, 0]), "triples"),
        (changed(LEAF, 4, 2, 10, [0, 0, 1] * 8193), "too many"),
        (changed(LEAF, 4, 2, 10, [3, 0, 1]), "chunk"),
        (changed(LEAF, 4, 2, 10, [-1, 0, 1]), "chunk"),
        (changed(LEAF, 4, 2, 10, [0, -1, 1]), "offset"),
        (changed(LEAF, 4, 2, 10, [0, 0, 0]), "length"),
        (changed(LEAF, 4, 2, 10, [0, 4_194_303, 2]), "length"),
        (changed(LEAF, 4, 3, 11, []), "extras"),
        (changed(LEAF, 4, 3, 11, {0: 1}), "number of an extra"),
        (changed(LEAF, 4, 3, 11, {"1": b"x"}), "number of an extra"),
        (changed(LEAF, 4, 3, 11, {2: b"a/b"}), "extra 2"),
        (changed(LEAF, 4, 3, 11, {2: "x" * 16}), "extra 2"),
        (changed(LEAF, 4, 1, [*RAW[1], {2: bytes(16)}]), "extra 2 is on a directory"),
        (changed(LEAF, 4, 3, 11, {8: 4}), "extra 8"),
        (changed(LEAF, 4, 3, 11, {4: {b"user.a": [1]}}), "value b'user.a' of extra 4"),
        (changed(LEAF, 4, 3, 11, {4: {b"user.a": [-1, bytes(32)]}}), "size of value b'user.a'"),
        (changed(LEAF, 4, 3, 11, {4: {b"user.a": [1, bytes(31)]}}), "hash of value b'user.a'"),
        (changed(LEAF, 4, 3, 11, {3: [1]}), "extra 3"),
        (changed(LEAF, 4, 3, 11, {4: {"user.a": b""}}), "extra 4"),
        (changed(LEAF, 4, 3, 11, {4: {b"user.a": 1}}), "extra 4"),
        (changed(LEAF, 4, 2, [*RAW[2], {5: [0, 10, 20]}]), "pairs"),
        (changed(LEAF, 4, 2, [*RAW[2], {5: [0, 0]}]), "extra 5"),
        (changed(LEAF, 4, 2, [*RAW[2], {5: [0, 10, 9, 1]}]), "extra 5"),
        (changed(LEAF, 4, 2, [*RAW[2], {5: [0, 301]}]), "300 bytes"),
        (changed(LEAF, 4, 3, 11, {6: 2**63}), "extra 6"),
        (changed(LEAF, 4, 3, 11, {7: {"3": {}}}), "number of an extra"),
        (changed(LEAF, 4, 3, 11, {7: {1: "text"}}), "extra 7.1"),
        (changed(LEAF, 4, 3, 11, {8: -1}), "extra 8"),
        (changed(LEAF, 4, 3, 11, {1: "text"}), "extra 1"),
        (changed(LEAF, 4, 3, 11, {3: [-1, 2]}), "extra 3"),
        (changed(LEAF, 4, 3, 11, {5: [b"x"]}), "extra 5"),
        (changed(LEAF, 4, 3, 11, {7: {3: [[b"stream", 1, bytes(32)]]}}), "extra 7"),
        (changed(LEAF, 4, 3, 11, {7: {3: {b"stream": [0, 0, 1]}}}), "alternate stream"),
        (changed(LEAF, 4, 3, 11, {7: {3: {"stream": [1, bytes(32)]}}}), "a name in extra 7"),
        (changed(LEAF, 4, 3, 11, {7: {3: {b"stream": [-1, bytes(32)]}}}), "size of alternate stream"),
        (changed(LEAF, 4, 3, 11, {7: {3: {b"stream": [1, None]}}}), "hash of alternate stream"),
        (LEAF + b"\0", "well-formed"),
        (LEAF[:-1], "well-formed"),
        (b"", "well-formed"),
        (b"\x91\x01", "1 elements"),
        (b"\x94\x02\x00\xc0\xc0", "a later one made it"),
    ],
)
def test_a_leaf_that_no_writer_makes_is_refused(block, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        decode_block(block)


def test_alternate_streams_have_a_size_and_a_hash_each():
    extras = {7: {2: 32, 3: {b"Zone.Identifier": [26, H2], b"\xed\xa0\x80": [0, H1]}}}
    entry = decode_block(changed(LEAF, 4, 2, [*RAW[2], extras])).entries[2]
    assert entry.extras == extras
    assert has_streams(entry)
    assert not any(has_streams(other) for other in ENTRIES)


@pytest.mark.parametrize(
    ("extras", "known"),
    [
        ({10: [1, {b"x": None}]}, {}),
        ({1: b"../x", 200: b""}, {1: b"../x"}),
        ({7: {2: 32, 6: b"of a later version"}}, {7: {2: 32}}),
        ({2**63: 1}, {}),
        ({8: 33}, {8: 1}),
    ],
)
def test_extras_of_a_later_version_are_left_out_and_the_entry_says_so(extras, known):
    before, entry, after = decode_block(changed(LEAF, 4, 3, 11, extras)).entries[2:]
    assert (entry.extras, entry.has_unknown) == (known, True)
    assert (before, after) == (ENTRIES[2], ENTRIES[4])
    with pytest.raises(IntegrityError, match="extra 1"):
        decode_block(changed(LEAF, 4, 3, 11, {**extras, 1: "text"}))


def test_a_kind_of_a_later_version_is_taken_as_a_number():
    assert [entry.kind for entry in decode_block(changed(LEAF, 4, 2, 1, 9)).entries] == [2, 2, 9, 3, 1]


def row(first, last, entries=1):
    return [first, last, bytes(32), b"c" * 32, entries, 5]


def inner(rows):
    return msgpack.packb([1, 2, b"o" * 32, rows])


def test_an_inner_block_holds_its_rows():
    block = decode_block(inner([row(b"a", b"a/b"), row(b"a/b", b"a!")]))
    rows = (Row(b"a", b"a/b", bytes(32), b"c" * 32, 1, 5), Row(b"a/b", b"a!", bytes(32), b"c" * 32, 1, 5))
    assert block == Inner(2, b"o" * 32, rows)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "0 rows"),
        ([row(b"a", b"a")] * 4097, "4097 rows"),
        ([row(b"b", b"c"), row(b"a", b"a")], "order"),
        ([row(b"b", b"a")], "after its end"),
        ([row(b"a", b"b")[:5]], "6 elements"),
        ([row(b"a", b"b", -1)], "entries below"),
        ([["a", b"b", bytes(32), bytes(32), 1, 1]], "first path"),
        ([[b"a", b"b", bytes(31), bytes(32), 1, 1]], "block"),
        ([[b"a", b"b", bytes(32), bytes(33), 1, 1]], "companion"),
    ],
)
def test_an_inner_block_that_no_writer_makes_is_refused(rows, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        decode_block(inner(rows))
