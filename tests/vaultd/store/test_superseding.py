"""A record that is known to be damaged is missing, and one that is sent again takes its place, also in a new index."""

import errno
import shutil
import subprocess
import sys

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    create,
    flip,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
    stored,
)
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import RecordDamaged
from vaultd.store.journal.format import EntryKind

AGAIN = make_record(2, 300)  # another record of the same id, as after a second seal


@pytest.fixture
def settings(tmp_path):
    made = make_settings(tmp_path)
    store = create(made)
    store.append(0, records(1, 2, 3))
    store.commit()
    store.close()
    return made


def damage(settings):
    (path,) = (settings.disk_paths[0] / "containers/0000").iterdir()
    flip(path, path.read_bytes().index(make_record(2)[:84]) + 120)
    return path


def state(store):
    return store.missing(KEYRING, [make_id(seed) for seed in (1, 2, 3)])


def note(settings, tmp_path):
    """The store, with the damage met by a reader and noted. A copy of the index from before is kept."""
    shutil.copytree(settings.index_path, tmp_path / "old")
    store = reopen(settings)
    before = store.damage_met(KEYRING)
    damage(settings)
    with pytest.raises(RecordDamaged):
        read(store, 2)
    assert store.damage_met(KEYRING) != before
    store.commit()
    return store


def test_a_record_that_a_read_finds_damaged_is_missing_after_the_next_commit(settings, tmp_path):
    store = note(settings, tmp_path)
    assert state(store) == [False, True, False]
    with pytest.raises(RecordDamaged):
        read(store, 2)
    store.close()
    assert state(ChunkStore.open(settings, SystemDoor(), now_ns)) == [False, True, False]


def test_one_that_the_disk_refuses_to_read_is_missing_too(settings):
    class BadSector(SystemDoor):
        bad = False

        def read(self, handle, offset, length):
            if self.bad and handle.path.suffix == ".container":
                raise OSError(errno.EIO, "told to fail")
            return super().read(handle, offset, length)

    door = BadSector()
    store = reopen(settings, door)
    door.bad = True
    with pytest.raises(RecordDamaged):
        read(store, 2)
    store.commit()
    assert state(store) == [False, True, False]


@pytest.mark.parametrize("index", ["whole", "behind", "lost"])
def test_one_that_is_sent_again_supersedes(settings, tmp_path, index):
    store = note(settings, tmp_path)
    assert store.append(0, [stored(AGAIN), *records(1, 3)]).records == 1
    store.commit()
    entry = [item for _, _, item in store.replay(0) if item.kind == EntryKind.supersede]
    (location,) = store.locate(KEYRING, [make_id(2)])
    assert [item.details for item in entry] == [
        {"keyring": KEYRING, "id": make_id(2), "container": location.container, "offset": location.offset}
    ]
    store.close()
    if index != "whole":
        shutil.rmtree(settings.index_path)
    if index == "behind":
        shutil.copytree(tmp_path / "old", settings.index_path)
    store = reopen(settings)
    assert [read(store, seed) for seed in (1, 2, 3)] == [make_record(1), AGAIN, make_record(3)]
    assert state(store) == [False, False, False]
    assert store.append(0, records(2)).records == 0


@pytest.mark.parametrize("is_later_damaged", [True, False])
def test_a_new_index_prefers_the_later_record_and_falls_back(settings, tmp_path, is_later_damaged):
    """Both records may be whole: the damage of the first was the disk's for a while."""
    store = note(settings, tmp_path)
    store.append(0, [stored(AGAIN)])
    store.commit()
    store.close()
    path = damage(settings)  # the same bit again: whole
    if is_later_damaged:
        flip(path, path.read_bytes().index(AGAIN) + 200)
    shutil.rmtree(settings.index_path)
    store = reopen(settings)
    assert read(store, 2) == (make_record(2) if is_later_damaged else AGAIN)


def test_recovery_marks_what_it_finds_in_an_open_container(settings):
    path = damage(settings)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    (finding,) = store.recover(lambda key: True).findings
    assert blake3(make_record(2)).hexdigest() in finding.sentence
    assert finding.place == str(path)
    assert state(store) == [False, True, False]
    assert store.append(0, records(2)).records == 1


def test_recovery_marks_it_also_where_its_key_was_given_up(settings):
    store = reopen(settings)
    store.give_up_keys(KEYRING, [KEY])
    store.close()
    damage(settings)
    store = reopen(settings)
    store.take_back_keys(KEYRING, [KEY])
    assert state(store) == [False, True, False]
    store.close()


def test_recovery_marks_what_it_finds_in_a_sealed_container_that_is_not_wholly_indexed(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    for seed in range(1, 5):
        store.append(0, records(seed, size=25_000))
        store.commit()
    store.close()
    first, *_ = sorted((tmp_path / "disk0/containers/0000").iterdir())
    ends = [first.read_bytes().index(make_record(seed, 25_000)) + 25_000 for seed in (1, 2)]
    flip(first, ends[0])
    shutil.rmtree(settings.index_path)
    store = reopen(settings)
    assert state(store)[:2] == [True, False]
    store.close()
    flip(first, ends[1])
    store = reopen(settings)
    assert state(store)[:2] == [True, True]
    store.close()


def test_a_read_beside_a_commit_that_finds_it_damaged_again_is_right(settings, tmp_path):
    store = note(settings, tmp_path)
    path = damage(settings)  # the same bit again: whole
    assert read(store, 2) == make_record(2)
    (flagged,) = store.locate(KEYRING, [make_id(2)])
    apply = store._index.apply

    def read_and_apply(batch):
        damage(settings)
        with pytest.raises(RecordDamaged):
            store.read(flagged, make_id(2))
        store._index.apply = apply
        apply(batch)

    store._index.apply = read_and_apply
    store.commit()
    assert path.exists()
    assert state(store) == [False, True, False]
    store.commit()
    assert state(store) == [False, True, False]
    store.close()


@pytest.mark.parametrize("why", ["flag", "key"])
def test_a_whole_copy_that_comes_back_with_its_disk_takes_the_place_of_one_that_is_damaged(tmp_path, why):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(2))
    store.commit()
    store.close()
    (tmp_path / "disk2").rename(tmp_path / "away")
    (tmp_path / "disk2").mkdir()
    shutil.rmtree(settings.index_path)
    store = reopen(settings)
    again = make_record(2, 300, key=b"q" * 16)
    assert store.append(0, [stored(again)]).records == 1
    store.commit()
    if why == "flag":
        (path,) = (tmp_path / "disk0/containers/0000").iterdir()
        flip(path, path.read_bytes().index(again) + 120)
        with pytest.raises(RecordDamaged):
            read(store, 2)
        store.commit()
    else:
        store.give_up_keys(KEYRING, [b"q" * 16])
    assert store.missing(KEYRING, [make_id(2)]) == [True]
    store.close()
    (tmp_path / "disk2").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk2")
    store = reopen(settings)
    assert store.missing(KEYRING, [make_id(2)]) == [False]
    assert read(store, 2) == make_record(2)
    store.close()


def test_a_note_that_comes_late_does_not_hit_the_new_place(settings, tmp_path):
    store = note(settings, tmp_path)
    (old,) = store.locate(KEYRING, [make_id(2)])
    store.append(0, [stored(AGAIN)])
    store.commit()
    with pytest.raises(RecordDamaged):
        store.read(old._replace(is_damaged=False), make_id(2))
    store.commit()
    assert state(store) == [False, False, False]
    assert read(store, 2) == AGAIN


def test_the_check_names_what_waits_to_be_sent_again(settings, tmp_path):
    note(settings, tmp_path).close()
    found = check_store(settings, SystemDoor(), read_data=False).findings
    assert any(make_id(2).hex() in finding.sentence and "sends it again" in finding.sentence for finding in found)


def test_a_record_that_reads_well_once_and_then_not_again_stays_damaged(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(1))
    store.commit()
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    flip(path, 4096 + 90)
    with pytest.raises(RecordDamaged):
        read(store, 1)
    store.commit()
    flip(path, 4096 + 90)
    read(store, 1)
    flip(path, 4096 + 90)
    with pytest.raises(RecordDamaged):
        read(store, 1)
    store.commit()
    assert store.missing(KEYRING, [make_id(1)]) == [True]
    store.close()


def test_damage_of_one_keyring_says_nothing_of_the_same_id_in_another(settings):
    other = b"other keyring 16"
    store = reopen(settings)
    store.append(0, [stored(make_record(2, keyring=other))])
    store.commit()
    damage(settings)
    with pytest.raises(RecordDamaged):
        read(store, 2)
    assert store.missing(other, [make_id(2)]) == [False]
    assert store.append(0, [stored(make_record(2, keyring=other))]).records == 0
    assert state(store) == [False, True, False]
    store.close()


def test_a_row_that_is_damaged_since_its_record_read_well_again_stops_no_commit(settings, tmp_path):
    store = note(settings, tmp_path)
    damage(settings)  # the same bit again: whole
    assert read(store, 2) == make_record(2)
    code = "import lmdb, sys; key = bytes.fromhex(sys.argv[2]); e = lmdb.open(sys.argv[1], max_dbs=8)\n"
    code += "with e.begin(write=True, db=e.open_db(b'records')) as t: t.put(key, bytes(len(t.get(key))))"
    row = (b"\0\0\0\1" + make_id(2)).hex()
    subprocess.run([sys.executable, "-c", code, settings.index_path, row], check=True)
    store.commit()
    assert state(store) == [False, True, False]
    assert store.append(0, [stored(AGAIN)]).records == 1
    store.commit()
    assert read(store, 2) == AGAIN
    store.close()


def test_one_on_a_disk_that_was_away_when_the_index_was_made_anew_supersedes_when_it_is_back(tmp_path):
    """The older record reads well, as under a key that was given up: it must not win because it was read before."""
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    store.append(0, records(1, 2, 3))
    store.commit()
    store.give_up_keys(KEYRING, [KEY])
    store.append(1, [stored(AGAIN)])
    store.commit()
    store.close()
    shutil.rmtree(settings.index_path)
    (tmp_path / "disk1").rename(tmp_path / "away")
    reopen(settings).close()
    (tmp_path / "away").rename(tmp_path / "disk1")
    store = reopen(settings)
    assert read(store, 2) == AGAIN
    store.close()
