"""Manifest, chunker and a whole store: the reader on bytes made by hand."""

from __future__ import annotations

import random
from pathlib import Path

import msgpack
import pytest

from . import handmade as made
from .handmade_store import CONTENT, SMALL, build
from .reader import chunker, companion, manifest
from .reader.damage import Damage, WrongPassword
from .reader.restore import open_keyrings, restore
from .reader.store import open_store


def tree(leaves: list[tuple[bytes, bytes]], counts: list[int]) -> tuple[manifest.Top, manifest.Source]:
    """An inner block of level 1 over the leaves."""
    blocks = {made.record_id(2, plaintext): plaintext for plaintext, _ in leaves}
    companions = {made.h(body): body for _, body in leaves}
    rows = []
    for (block, body), count in zip(leaves, counts, strict=True):
        entries = msgpack.unpackb(block)[4]
        rows.append([entries[0][0], entries[-1][0], made.record_id(2, block), made.h(body), count, 0])
    body = made.companion_body(1, sorted(blocks), [row[3] for row in rows])
    inner = msgpack.packb([1, 1, made.h(body), rows])
    blocks[b"top"] = inner
    companions[made.h(body)] = body
    source = manifest.Source(blocks.__getitem__, lambda i: companion.parse_body(i, companions[i]))
    return manifest.Top(b"top", made.h(body), 1), source


def continued_tree(counts: list[int]) -> tuple[manifest.Top, manifest.Source]:
    a, b = b"\1" * 32, b"\2" * 32
    first = made.leaf([a], [made.file_entry(b"d/x", 6, b"h" * 32, [0, 0, 3])])
    second = made.leaf([a, b], [made.file_entry(b"d/x", 6, b"h" * 32, [1, 2, 3]), made.file_entry(b"d-", 0, None, [])])
    return tree([first, second], counts)


def test_manifest_joins_a_continued_entry() -> None:
    entries = list(manifest.walk(*continued_tree([1, 2])))
    assert [entry.path for entry in entries] == [b"d/x", b"d-"]
    assert [(extent.offset, extent.length) for extent in entries[0].extents] == [(0, 3), (2, 3)]
    chunks = {b"\1" * 32: b"abcdef", b"\2" * 32: b"uvwxyz"}
    assert manifest.content(entries[0], chunks.__getitem__) == b"abcwxy"


def test_manifest_refuses_a_row_with_another_count() -> None:
    with pytest.raises(Damage, match="unlike its row"):
        list(manifest.walk(*continued_tree([1, 1])))


def one_leaf(entries: list[list[object]], chunks: list[bytes], listed: list[bytes]) -> list[manifest.Entry]:
    body = made.companion_body(0, listed, [])
    block = msgpack.packb([1, 0, made.h(body), b"".join(chunks), entries])
    source = manifest.Source(lambda _: block, lambda i: companion.parse_body(i, body))
    return list(manifest.walk(manifest.Top(b"top", made.h(body), 0), source))


def test_manifest_refuses_a_companion_that_says_something_else() -> None:
    chunk, other = b"\1" * 32, b"\2" * 32
    row = made.file_entry(b"a", 3, b"h" * 32, [0, 0, 3])
    assert [entry.path for entry in one_leaf([row], [chunk], [chunk])] == [b"a"]
    for listed in ([other], [], [chunk, other]):
        with pytest.raises(Damage, match="does not list its chunks"):
            one_leaf([row], [chunk], listed)


@pytest.mark.parametrize(
    "rows",
    [
        [made.file_entry(b"a/b", 0, None, []), made.file_entry(b"a", 0, None, [])],
        [made.file_entry(b"a", 0, None, []), made.file_entry(b"a", 1, None, [])],
        [made.file_entry(b"a/../b", 0, None, [])],
        [made.file_entry(b"/a", 0, None, [])],
        [made.file_entry(b"a", 3, b"h" * 32, [0, 0, 3])],
        [made.file_entry(b"a", 3, b"h" * 32, [0, 0])],
    ],
)
def test_manifest_refuses_wrong_entries(rows: list[list[object]]) -> None:
    with pytest.raises(Damage):
        one_leaf(rows, [], [])


def continuing(*parts: tuple[list[int], object], kind: int = 1) -> manifest.Entry:
    """One path in several entries of (extents, extras)."""
    rows = [made.file_entry(b"a", 90, b"h" * 32, extents, extras) for extents, extras in parts]
    for row in rows:
        row[1] = kind
    (entry,) = one_leaf(rows, [b"\1" * 32], [b"\1" * 32])
    return entry


def test_manifest_joins_extras_that_go_on() -> None:
    first = {1: b"x", 4: {b"user.a": b"1"}, 5: [0, 10], 7: {2: 32, 3: {b"s": [1, b"k" * 32]}}}
    second, third = {4: {b"user.b": b"2"}, 5: [10, 5, 20, 1]}, {7: {3: {b"t": [2, b"k" * 32]}}}
    entry = continuing(([], first), ([], second), ([0, 0, 3], third), ([0, 3, 4], None))
    assert entry.extras == {
        1: b"x", 4: {b"user.a": b"1", b"user.b": b"2"}, 5: [0, 10, 10, 5, 20, 1],
        7: {2: 32, 3: {b"s": [1, b"k" * 32], b"t": [2, b"k" * 32]}},
    }  # fmt: skip
    assert list(entry.extras[7][3]) == [b"s", b"t"]
    assert [extent.offset for extent in entry.extents] == [0, 3]
    assert continuing(([], {4: {b"a": b""}}), ([], {4: {b"b": b""}}), kind=2).extras[4] == {b"a": b"", b"b": b""}


@pytest.mark.parametrize(
    "parts",
    [
        [([], None), ([], None)],
        [([], {4: {b"a": b"1"}}), ([], {4: {b"a": b"1"}})],
        [([], {7: {3: {b"s": [1, b"k" * 32]}}}), ([], {7: {3: {b"s": [1, b"k" * 32]}}})],
        [([], {7: {3: {}}}), ([], {7: {2: 1}})],
        [([], {5: [10, 5]}), ([], {5: [12, 5]})],
        [([], None), ([], {1: b"x"})],
        [([], None), ([], {8: 1})],
        [([0, 0, 3], None), ([], {4: {b"a": b"1"}})],
        [([], {4: {b"a": bytes(9_000_000)}}), ([], {4: {b"b": bytes(9_000_000)}})],
    ],
)
def test_manifest_refuses_entries_that_do_not_continue(parts: list[tuple[list[int], object]]) -> None:
    with pytest.raises(Damage):
        continuing(*parts)


def test_manifest_leaves_out_what_a_later_version_wrote() -> None:
    later = made.file_entry(b"a", 3, b"h" * 32, [0, 0, 3], {1: b"x", 8: 34, 10: [1], 7: {2: 32, 6: b"y"}})
    unknown = [b"b", 9, *made.file_entry(b"b", 0, None, [])[2:]]
    body = made.companion_body(0, [b"\1" * 32], [])
    block = msgpack.packb([1, 0, made.h(body), b"\1" * 32, [later, unknown]])
    source = manifest.Source(lambda _: block, lambda i: companion.parse_body(i, body))
    warnings: list[str] = []
    (entry,) = manifest.walk(manifest.Top(b"top", made.h(body), 0), source, warnings.append)
    assert entry.extras == {1: b"x", 7: {2: 32}, 8: 2}
    assert warnings == [
        "b'a' comes without its unknown extra 10", "b'a' comes without its unknown extra 7.6",
        "b'a' comes without its unknown extra 8 bits 20",
        "b'b' is left out, its kind 9 is unknown",
    ]  # fmt: skip


def test_content_ends_before_the_alternate_streams() -> None:
    chunks = {b"\1" * 32: b"own and stream"}
    row = made.file_entry(b"a", 3, b"h" * 32, [0, 0, 14], {7: {3: {b"s": [11, b"k" * 32]}}})
    (entry,) = one_leaf([row], [b"\1" * 32], [b"\1" * 32])
    assert manifest.content(entry, chunks.__getitem__) == b"own"


def test_content_ends_before_large_attributes_and_streams_follow_them() -> None:
    chunks = {b"\1" * 32: b"own", b"\2" * 32: b"large stream"}
    extras = {4: {b"a": b"small", b"b": [5, b"k" * 32]}, 7: {3: {b"\xed\xa0\x80": [7, b"l" * 32]}}}
    row = made.file_entry(b"a", 3, b"h" * 32, [0, 0, 3, 1, 0, 12], extras)
    (entry,) = one_leaf([row], sorted(chunks), sorted(chunks))
    assert manifest.content(entry, chunks.__getitem__) == b"own"
    assert manifest.apart(entry, b"own" + b"large stream") == [(5, b"k" * 32), (7, b"l" * 32)]
    with pytest.raises(Damage, match="fewer bytes"):
        manifest.apart(entry, b"own")


@pytest.mark.parametrize(
    ("kind", "extras"),
    [
        (1, {2: b"a/b"}), (1, {2: bytes(15)}), (2, {2: bytes(16)}), (1, {8: 4}), (1, {4: {b"a": 1}}),
        (1, {4: {b"a": [1]}}), (1, {4: {b"a": [-1, bytes(32)]}}), (1, {7: {3: {"s": [1, bytes(32)]}}}),
    ],
)  # fmt: skip
def test_manifest_refuses_extras_that_do_not_fit(kind: int, extras: dict[int, object]) -> None:
    row = made.file_entry(b"a", 0, None, [], extras)
    row[1] = kind
    with pytest.raises(Damage):
        one_leaf([row], [], [])


def test_names_are_one_file_when_link_set_hash_size_and_metadata_agree() -> None:
    rows = [made.file_entry(path, 3, b"h" * 32, [0, 0, 3], {2: bytes(16)}) for path in (b"a", b"b", b"c", b"d", b"e")]
    rows[2][9], rows[3][2] = b"H" * 32, 0o600
    rows[4][11] = {2: b"\1" * 16}
    first, *others = one_leaf(rows, [b"\1" * 32], [b"\1" * 32])
    assert [manifest.is_same_file(first, other) for other in others] == [True, False, False, False]
    (alone,) = one_leaf([made.file_entry(b"a", 0, None, [])], [], [])
    assert not manifest.is_same_file(alone, alone)


def test_holes_are_filled_with_zero_bytes() -> None:
    row = made.file_entry(b"a", 14, b"h" * 32, [0, 0, 5], {5: [0, 2, 4, 3, 10, 4]})
    (entry,) = one_leaf([row], [b"\1" * 32], [b"\1" * 32])
    assert manifest.file_bytes(entry, b"abcde") == b"\0\0ab\0\0\0cde\0\0\0\0"
    for data in (b"abcd", b"a"):
        with pytest.raises(Damage, match="hole"):
            manifest.file_bytes(entry, data)
    with pytest.raises(Damage, match="15 bytes instead of 14"):
        manifest.file_bytes(entry, b"abcdef")


def test_chunker_cuts_like_the_published_algorithm() -> None:
    """Lengths come from pyfastcdc 0.3.1 with min 524288, mean 1048576, max 4194304, level 1 and the seed."""
    assert chunker.GEAR[0] == 0x3B5D3C7D207E37DC
    data = random.Random(1).randbytes(3_700_000)
    assert list(chunker.cut_lengths(data, made.SEED)) == [1163073, 2040002, 496925]
    assert list(chunker.cut_lengths(data[:524_288], made.SEED)) == [524_288]


def test_whole_store_by_hand_restores_its_files(tmp_path: Path) -> None:
    build(tmp_path)
    assert restore(tmp_path, made.PASSWORD, b"src/big") == CONTENT
    assert restore(tmp_path, made.PASSWORD, b"src/small") == SMALL
    with pytest.raises(Damage, match="has no"):
        restore(tmp_path, made.PASSWORD, b"src/other")
    with pytest.raises(WrongPassword):
        restore(tmp_path, "another password", b"src/big")


def test_whole_store_without_an_erase_key_opens_no_slot(tmp_path: Path) -> None:
    build(tmp_path)
    for path in tmp_path.rglob(f"{made.KEYRING.hex()}.key*"):
        path.unlink()
    store = open_store(tmp_path)
    assert store.found.erased == 2
    with pytest.raises(WrongPassword):
        open_keyrings(store, made.PASSWORD)
