"""Records, companions, containers, journal and checkpoint: the reader on bytes made by hand, whole and damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import msgpack
import pytest

from . import handmade as made
from .reader import checkpoint, companion, container, image, journal, record
from .reader.damage import Damage
from .reader.hashing import unpack

SECRETS = record.RunSecrets(made.RUN_KEY, made.ID_KEY, 1)


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize("padding_bytes", [0, 7])
def test_record_opens_in_every_form(suite: int, codec: int, padding_bytes: int) -> None:
    plaintext = b"what was in the file " * 40
    raw = made.record(1, plaintext, suite=suite, codec=codec, padding_bytes=padding_bytes)
    assert record.open_record(raw, SECRETS) == plaintext


@pytest.mark.parametrize("suite", [1, 2])
def test_record_of_an_empty_chunk_opens(suite: int) -> None:
    assert record.open_record(made.record(2, b"", suite=suite), SECRETS) == b""


@pytest.mark.parametrize("suite", [1, 2])
def test_record_refuses_a_change_of_any_byte(suite: int) -> None:
    raw = made.record(1, b"short", suite=suite)
    for at in range(len(raw)):
        with pytest.raises(Damage):
            record.open_record(made.flipped(raw, at), SECRETS)


@pytest.mark.parametrize(
    ("inside", "word"),
    [
        (struct.pack("<IBI", 4, 0, 0) + b"abc", "length"),
        (struct.pack("<IBI", 3, 2, 0) + b"abc", "codec 2"),
        (struct.pack("<IBI", 3, 0, 2) + b"abc\0\1", "not zero"),
        (struct.pack("<IBI", 3, 0, 9) + b"abc", "padding"),
        (struct.pack("<IBI", 4_194_305, 1, 0) + b"abc", "limit"),
        (struct.pack("<IBI", 3, 1, 0) + b"abc", "zstd"),
        (struct.pack("<IBI", 3, 0, 0) + b"abd", "another id"),
    ],
)
def test_record_refuses_a_wrong_inner_plaintext(inside: bytes, word: str) -> None:
    raw = made.sealed(1, made.record_id(1, b"abc"), inside)
    with pytest.raises(Damage, match=word):
        record.open_record(raw, SECRETS)


def test_record_below_the_minimum_suite_is_refused() -> None:
    with pytest.raises(Damage, match="below the minimum"):
        record.open_record(made.record(1, b"x"), record.RunSecrets(made.RUN_KEY, made.ID_KEY, 2))


def test_companion_is_never_opened_as_a_sealed_record() -> None:
    with pytest.raises(Damage, match="not a sealed record"):
        record.open_record(made.companion(made.companion_body(0, [], [])), SECRETS)


def test_companion_lists_ids_and_children() -> None:
    ids, children = [b"\1" * 32, b"\2" * 32], [b"\4" * 32, b"\3" * 32]
    body = made.companion_body(1, ids, children)
    read = companion.open_companion(made.companion(body))
    assert (read.id, read.level, read.ids, read.children) == (made.h(body), 1, tuple(ids), tuple(children))


@pytest.mark.parametrize(
    "body",
    [
        made.companion_body(1, [b"\2" * 32, b"\1" * 32], []),
        made.companion_body(0, [b"\2" * 32, b"\2" * 32], []),
        made.companion_body(0, [], [b"\2" * 32]),
        made.companion_body(0, [b"\2" * 32], []) + b"\0",
        made.companion_body(0, [b"\2" * 32], [])[:-1],
    ],
)
def test_companion_with_a_wrong_body_is_refused(body: bytes) -> None:
    with pytest.raises(Damage):
        companion.open_companion(made.companion(body))


def test_container_scan_finds_every_record_and_the_directory() -> None:
    """The commits end 0 and 8 bytes before a block boundary, and far from one."""
    overhead = len(made.record(1, b"", suite=2))
    exact = made.record(1, b"\5" * (4096 - overhead), suite=2)
    short = made.record(1, b"\6" * (4088 - overhead), suite=2)
    groups = [[exact], [short], [made.companion(made.companion_body(0, [], [])), made.record(1, b"small")]]
    records = [one for group in groups for one in group]
    opened = made.container(0x407, groups)
    scan = container.scan(opened)
    assert scan.header == container.ContainerHeader(made.VAULT, 0x407, made.CREATED)
    assert [(place.offset, place.cid) for place in scan.places] == [(opened.index(r), made.h(r)) for r in records]
    assert scan.directory is None
    whole = container.scan(made.seal(opened, 0x407, records))
    assert whole.directory is not None
    assert [row.cid for row in whole.directory] == [made.h(r) for r in records]
    assert container.relative_path(0x407) == "containers/0001/000000000407.container"


def test_container_refuses_a_change_of_any_byte() -> None:
    records = [made.record(1, b"small")]
    data = made.seal(made.container(1, [records]), 1, records)
    for at in range(len(data)):
        if 4096 + 84 <= at < 4096 + len(records[0]):
            continue
        with pytest.raises(Damage):
            container.scan(made.flipped(data, at))


def test_container_directory_shows_a_changed_body() -> None:
    records = [made.record(1, b"small")]
    data = made.seal(made.container(1, [records]), 1, records)
    with pytest.raises(Damage, match="does not list the records"):
        container.scan(made.flipped(data, 4096 + 84))


def test_container_with_zero_bytes_after_the_last_group_is_refused() -> None:
    with pytest.raises(Damage, match="magic"):
        container.scan(made.container(1, [[made.record(1, b"small")]]) + bytes(4096))


def test_container_without_a_directory_is_held_against_the_journal() -> None:
    records = [made.record(1, bytes([n]) * 50) for n in range(3)]
    scan = container.scan(made.container(1, [records[:2], records[2:]]))
    cids = [made.h(one) for one in records]
    groups = [
        (1, {"changes": [], "details": {"containers": [[1, b"d" * 16, 8192, part]]}})
        for part in (b"".join(cids[:2]), cids[2])
    ]
    _, entries = journal.parse_segment(made.journal(groups))
    assert journal.named_cids(entries) == {1: cids}
    container.require_named(scan, cids)
    for wrong in (cids[:2], cids[::-1], [*cids, bytes(32)]):
        with pytest.raises(Damage):
            container.require_named(scan, wrong)
    container.require_held(scan, cids[:2])  # of a sealed one: its directory names the last too
    with pytest.raises(Damage):
        container.require_held(scan, [*cids, bytes(32)])


CHANGE = {"changes": [["t", b"k", b"v"], ["t", b"l", b"w"]], "details": {}}
REMOVAL = {"changes": [["t", b"k", None]], "details": {}}


def test_journal_of_two_segments_is_one_chain(tmp_path: Path) -> None:
    first = made.journal([(3, CHANGE), (3, REMOVAL)])
    second = made.journal([(3, CHANGE)], first=3, previous=first[-32:])
    made.write(tmp_path / "a/0000000000000001.journal", made.flipped(first, 200))
    made.write(tmp_path / "b/0000000000000001.journal", first)
    made.write(tmp_path / "a/0000000000000003.journal", second)
    entries = journal.read_journal([tmp_path / "a", tmp_path / "b"])
    tables: journal.Tables = {}
    for entry in entries[:2]:
        journal.apply(tables, entry)
    assert tables == {"t": {b"l": b"w"}}
    assert [(entry.number, entry.time) for entry in entries] == [(n, made.CREATED + n) for n in (1, 2, 3)]
    assert entries[-1].hash == second[-32:]


def test_journal_refuses_a_change_of_any_byte() -> None:
    data = made.journal([(3, CHANGE)])
    for at in range(len(data)):
        with pytest.raises(Damage):
            journal.parse_segment(made.flipped(data, at))


@pytest.mark.parametrize(
    "segment",
    [
        made.journal([(3, CHANGE)], previous=b"\1" * 32),
        made.segment_header(1, bytes(32)) + made.entry(3, 2, bytes(32), CHANGE),
        made.segment_header(1, bytes(32)) + made.entry(3, 1, b"\1" * 32, CHANGE),
        made.segment_header(1, bytes(32)) + made.entry(12, 1, bytes(32), CHANGE),
        made.segment_header(1, bytes(32)) + made.entry(3, 1, bytes(32), {"changes": []}),
        made.journal([(3, CHANGE)])[:-1],
        made.journal([(3, CHANGE)]) + bytes(8),
    ],
)
def test_journal_segment_that_breaks_a_rule_is_refused(tmp_path: Path, segment: bytes) -> None:
    made.write(tmp_path / "0000000000000001.journal", segment)
    with pytest.raises(Damage):
        journal.read_journal([tmp_path])


def test_checkpoint_tells_the_containers_beside_the_catalog() -> None:
    row = ["containers", struct.pack(">Q", 7), msgpack.packb([b"d" * 16, 8192, False])]
    read = checkpoint.parse_checkpoint(made.checkpoint(1, bytes(32), [[["t", b"a", b"1"], row]]))
    assert read.tables == {"t": {b"a": b"1"}}
    assert read.containers == {7: checkpoint.ContainerRow(b"d" * 16, 8192, False)}
    row[2] = msgpack.packb([b"d" * 16, 8192])
    with pytest.raises(Damage, match="container row"):
        checkpoint.parse_checkpoint(made.checkpoint(1, bytes(32), [[row]]))


def test_checkpoint_gives_its_rows_and_refuses_damage(tmp_path: Path) -> None:
    raw = made.checkpoint(9, b"\7" * 32, [[["t", b"a", b"1"], ["u", b"b", b"2"]], [["t", b"c", b"3"]]])
    read = checkpoint.parse_checkpoint(raw)
    assert (read.number, read.entry_hash) == (9, b"\7" * 32)
    assert read.tables == {"t": {b"a": b"1", b"c": b"3"}, "u": {b"b": b"2"}}
    for at in range(len(raw)):
        with pytest.raises(Damage):
            checkpoint.parse_checkpoint(made.flipped(raw, at))
    made.write(tmp_path / "0000000000000009.checkpoint", raw)
    made.write(tmp_path / "000000000000000a.checkpoint", raw[:-1])
    newest = checkpoint.newest_checkpoint([tmp_path])
    assert newest is not None
    assert newest.number == 9


@pytest.mark.parametrize("version", [b"1", b"2"])
def test_catalog_of_either_format_gives_the_same_rows(tmp_path: Path, version: bytes) -> None:
    path = made.catalog(tmp_path, version, {"jobs": {b"a": b"one", b"b": b""}}, (1, 7, b"h" * 32))
    assert image.read_catalog(path) == ({"jobs": {b"a": b"one", b"b": b""}}, (1, 7, b"h" * 32))


def test_catalog_refuses_a_changed_row_and_an_unknown_format(tmp_path: Path) -> None:
    path = made.catalog(tmp_path / "row", b"2", {"jobs": {b"a": b"one"}}, (1, 7, b"h" * 32))
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(data.replace(b"one", b"two"))
    with pytest.raises(Damage, match="row 61"):
        image.read_catalog(path)
    with pytest.raises(Damage, match="format b'3'"):
        image.read_catalog(made.catalog(tmp_path / "format", b"3", {}, (1, 7, b"h" * 32)))


def test_a_map_with_a_key_that_comes_twice_is_damage() -> None:
    with pytest.raises(Damage, match="a key of a map comes twice"):
        unpack(bytes.fromhex("91 82 01 02 01 03"), "a block")
