"""The journal names every record of a container that has no directory yet: damage is told from what is good without an
index, and nothing else is believed."""

import shutil
import struct

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    create,
    flip,
    make_companion,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
    short_hash,
    stored,
)
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers import open_containers
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.journal.format import EntryKind

CONTAINER = "disk0/containers/0000/000000000001.container"
SEGMENT = "disk0/journal/0000000000000001.journal"
LENGTH = 184  # of every record here


def fill(settings):
    """Three groups in one open container; the index is kept as it was after the first."""
    store = create(settings)
    for group in ((1, 2), (3, 4, 5), (6,)):
        store.append(0, records(*group))
        store.commit()
        if group == (1, 2):
            store.close()
            shutil.copytree(settings.index_path, settings.index_path.with_name("old"))
            store = reopen(settings)
    store.close()


def set_index(settings, state):
    old = settings.index_path.with_name("old")
    if state != "whole":
        shutil.rmtree(settings.index_path)
    if state == "behind":
        shutil.copytree(old, settings.index_path)


def recovered(settings):
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    return store, store.recover(lambda key: True).findings


def place_of(path, seed):
    return path.read_bytes().index(make_record(seed))


def test_a_group_entry_names_the_cids_in_file_order(tmp_path):
    store = create(make_settings(tmp_path))
    companion = make_companion(b"c")
    store.append(0, [*records(1, 2), stored(companion)])
    store.commit()
    store.append(0, records(3))
    store.commit()
    disk_id = store.disks.online[0].disk_id
    details = [entry.details["containers"] for _, _, entry in store.replay(0)]
    cids = [blake3(record).digest() for record in (make_record(1), make_record(2), companion, make_record(3))]
    assert details == [[[1, disk_id, 8192, b"".join(cids[:3])]], [[1, disk_id, 12288, cids[3]]]]
    assert msgpack.packb({"containers": details[1]})[1:] in (tmp_path / SEGMENT).read_bytes()


@pytest.mark.parametrize("state", ["whole", "behind", "lost"])
def test_one_flipped_bit_of_an_open_container_is_named_and_costs_its_record(tmp_path, state):
    settings = make_settings(tmp_path)
    fill(settings)
    path = tmp_path / CONTAINER
    good = path.read_bytes()
    places = {seed: place_of(path, seed) for seed in range(1, 7)}
    for seed in (1, 2, 3, 5, 6):
        for at in (0, 9, 30, 50, 73, 83, 84, 130, 183):
            set_index(settings, state)
            flip(path, places[seed] + at)
            damaged = path.read_bytes()
            store, findings = recovered(settings)
            (finding,) = findings
            assert (finding.severity, finding.place) == (Severity.damage, str(path))
            assert blake3(make_record(seed)).hexdigest() in finding.sentence
            assert f"at offset {places[seed]}" in finding.sentence
            assert path.read_bytes() == damaged
            assert all(read(store, other) == make_record(other) for other in range(1, 7) if other != seed)
            assert store.missing(KEYRING, [make_id(seed)]) == [True]
            store.close()
            path.write_bytes(good)


@pytest.mark.parametrize("state", ["whole", "behind", "lost"])
def test_a_container_without_damage_goes_on(tmp_path, state):
    settings = make_settings(tmp_path)
    fill(settings)
    set_index(settings, state)
    store, findings = recovered(settings)
    assert findings == []
    store.append(0, records(7))
    store.commit()
    assert all(read(store, seed) == make_record(seed) for seed in range(1, 8))
    assert store.statistics().containers == 1


def test_a_record_in_a_gap_cannot_hide_those_behind_it(tmp_path):
    """A header in a damaged body may claim a length over its neighbours: nothing names it, so it leads nowhere."""
    settings = make_settings(tmp_path)
    store = create(settings)
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, KEYRING, KEY, make_id(66), 600)
    forged = head + short_hash(head)
    host = make_record(1, len(forged))[:84] + forged
    store.append(0, [stored(host), *records(2, 3, 4, 5)])
    store.commit()
    store.close()
    set_index(settings, "lost")
    flip(tmp_path / CONTAINER, 4096 + 20)
    store, findings = recovered(settings)
    assert len(findings) == 1
    assert all(read(store, seed) == make_record(seed) for seed in (2, 3, 4, 5))
    assert store.missing(KEYRING, [make_id(1), make_id(66)]) == [True, True]


def test_a_shortened_open_container_is_named_record_by_record(tmp_path):
    settings = make_settings(tmp_path)
    fill(settings)
    set_index(settings, "lost")
    path = tmp_path / CONTAINER
    path.write_bytes(path.read_bytes()[:8192])
    store, findings = recovered(settings)
    sentences = " ".join(finding.sentence for finding in findings)
    assert all(blake3(make_record(seed)).hexdigest() in sentences for seed in (3, 4, 5, 6))
    assert [read(store, seed) is None for seed in range(1, 7)] == [False, False, True, True, True, True]


def test_a_damaged_directory_leaves_the_journal_to_vouch(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    for seed in (1, 2, 3):
        store.append(0, records(seed, size=30_000))
        store.commit()
    store.close()
    path = tmp_path / CONTAINER
    assert path.read_bytes()[-4096:][:4] == b"SSF1"
    flip(path, path.stat().st_size - 4096 + 20)
    flip(path, 4096 + 84)
    set_index(settings, "lost")
    store, findings = recovered(settings)
    assert len(findings) == 2
    assert [read(store, seed) is None for seed in (1, 2, 3)] == [True, False, False]


def test_the_check_holds_open_containers_against_the_journal(tmp_path):
    settings = make_settings(tmp_path)
    fill(settings)
    path = tmp_path / CONTAINER
    assert check_store(settings, SystemDoor(), read_data=True).findings == []
    assert check_store(settings, SystemDoor(), read_data=False).findings == []
    start = place_of(path, 4)
    for at in (30, 120):
        offset = start + at
        flip(path, offset)
        found = check_store(settings, SystemDoor(), read_data=True).findings
        (named,) = [finding.sentence for finding in found]
        assert named.startswith(f"record {make_id(4).hex()} at offset {start}, ")
        assert check_store(settings, SystemDoor(), read_data=False).is_damaged == (at < 84)
        flip(path, offset)


def test_a_journal_torn_behind_a_seal_loses_nothing(tmp_path):
    """The seal stands before the group: where the group is torn off, the directory vouches."""
    settings = make_settings(tmp_path)
    store = create(settings)
    for seeds in ([1], [2, 3]):
        store.append(0, records(*seeds, size=25_000))
        store.commit()
    kinds = [entry.kind for _, _, entry in store.replay(0)]
    store.close()
    assert kinds == [EntryKind.group, EntryKind.container_sealed, EntryKind.group]
    path = tmp_path / SEGMENT
    path.write_bytes(path.read_bytes()[:-1])
    set_index(settings, "lost")
    store, findings = recovered(settings)
    assert [finding.severity for finding in findings].count(Severity.damage) == 0
    assert [read(store, seed) is None for seed in (1, 2, 3)] == [False, False, True]


def test_a_container_takes_as_many_records_as_an_entry_can_name(tmp_path, monkeypatch):
    monkeypatch.setattr(open_containers, "RECORDS_MAX", 3)
    store = create(make_settings(tmp_path))
    store.append(0, records(*range(10)))
    store.commit()
    assert store.statistics().containers == 4
    assert all(read(store, seed) == make_record(seed) for seed in range(10))
