import errno

import pytest

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    FailingDoor,
    RecordingDoor,
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
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import FormatError, NoSpace, RecordDamaged, StoreBroken, StoreError
from vaultd.store.journal.format import EntryKind, JournalEntry
from vaultd.store.store_settings import StoreSettings

CATALOG = JournalEntry(EntryKind.catalog, {}, [("accounts", b"key", b"value")])


def test_what_was_committed_reads_back(tmp_path):
    store = create(make_settings(tmp_path))
    assert store.append(0, records(1, 2)).records == 2
    assert store.missing(KEYRING, [make_id(1), make_id(2), make_id(3)]) == [True, True, True]
    store.commit()
    assert store.missing(KEYRING, [make_id(1), make_id(3), make_id(2)]) == [False, True, False]
    assert [read(store, seed) for seed in (1, 2, 3)] == [make_record(1), make_record(2), None]


def test_another_keyring_does_not_have_it(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(1))
    store.commit()
    assert store.missing(b"L" * 16, [make_id(1)]) == [True]
    assert store.locate(b"L" * 16, [make_id(1)]) == [None]


def test_the_first_of_an_id_wins(tmp_path):
    store = create(make_settings(tmp_path))
    first, second = make_record(1, 100), make_record(1, 200)
    assert store.append(0, [stored(first), stored(second)]).records == 1
    assert store.append(0, [stored(second)]) == store.append(0, []).__class__(0, 0)
    store.commit()
    assert store.append(0, [stored(second)]).records == 0
    assert read(store, 1) == first


def test_order_of_writing(tmp_path, monkeypatch):
    door = RecordingDoor()
    store = create(make_settings(tmp_path, disks=2), door)
    apply = store._index.apply
    monkeypatch.setattr(store._index, "apply", lambda batch: (door.calls.append(("index", "")), apply(batch)))
    door.calls.clear()
    store.append(0, records(1))
    assert door.calls == [("mkdir", "0000"), ("open_new", "000000000001.container")]
    door.calls.clear()
    store.commit([CATALOG])
    journal = "0000000000000001.journal"
    assert door.calls == [
        ("pwrite", "000000000001.container"),
        ("fdatasync", "000000000001.container"),
        ("fsync_directory", "containers"),
        ("fsync_directory", "0000"),
        *[("pwrite", journal), ("pwrite", journal), ("fdatasync", journal), ("fdatasync", journal)] * 2,  # two entries
        ("index", ""),
    ]


def test_an_empty_commit_writes_nothing(tmp_path):
    door = RecordingDoor()
    store = create(make_settings(tmp_path), door)
    door.calls.clear()
    assert store.commit().number == 0
    assert door.calls == []


def test_entries_are_replayed_with_their_changes(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(1))
    store.commit([CATALOG])
    position = store.commit([JournalEntry(EntryKind.root, {"job": b"j"}, [("safesets", b"k", None)])])
    replayed = list(store.replay(0))
    assert [(number, entry.kind) for number, _, entry in replayed] == [(1, 1), (2, 3), (3, 8)]
    assert replayed[1][2].changes == [("accounts", b"key", b"value")]
    assert replayed[2][2].details == {"job": b"j"}
    assert replayed[-1][:2] == position[1:]
    assert [number for number, _, _ in store.replay(2)] == [3]
    assert list(store.replay(3)) == []
    with pytest.raises(StoreError, match="ends at entry 3"):
        list(store.replay(4))


def test_a_failing_call_stops_the_store_and_loses_nothing(tmp_path):
    """Every changing call of an append with roll-over and its commit fails once, until it goes through."""
    fail_at = 0
    while True:
        fail_at += 1
        root = tmp_path / str(fail_at)
        root.mkdir()
        settings = make_settings(root, disks=2)
        door = FailingDoor()
        store = create(settings, door)
        store.append(0, records(1, 2, size=30_000))
        store.commit([CATALOG])
        door.arm(fail_at)
        try:
            store.append(0, records(3, 4, 5, size=30_000))
            store.commit([CATALOG])
            went_through = True
        except StoreBroken:
            went_through = False
            with pytest.raises(StoreBroken, match="restart vaultd"):
                store.append(0, records(9))
            with pytest.raises(StoreBroken, match="restart vaultd"):
                store.commit([CATALOG])
            assert store.is_broken
            assert read(store, 1) == make_record(1, 30_000)
        store.close()
        assert went_through == (door.failed == "")
        store = reopen(settings)
        assert [read(store, seed) for seed in (1, 2)] == [make_record(seed, 30_000) for seed in (1, 2)]
        for seed in (3, 4, 5):
            assert read(store, seed) in (None, make_record(seed, 30_000))
        store.append(0, records(3, 4, 5, size=30_000))
        store.commit()
        assert read(store, 5) == make_record(5, 30_000)
        store.close()
        if went_through:
            break
    assert fail_at > 10


def test_a_stopped_store_gives_up_no_key(tmp_path):
    settings, door = make_settings(tmp_path), FailingDoor()
    store = create(settings, door)
    store.append(0, records(1))
    store.commit()
    store.append(0, records(2))
    door.arm(1)
    with pytest.raises(StoreBroken):
        store.commit()
    with pytest.raises(StoreBroken, match="the store is stopped"):
        store.give_up_keys(KEYRING, [KEY])
    with pytest.raises(StoreBroken, match="the store is stopped"):
        store.take_back_keys(KEYRING, [KEY])
    store.close()
    store = reopen(settings)
    assert not store.is_key_given_up(KEYRING, KEY)
    store.close()


def test_a_full_disk_is_said_and_stops_the_store(tmp_path):
    door = FailingDoor(errno.ENOSPC)
    store = create(make_settings(tmp_path), door)
    store.append(0, records(1))
    door.arm(1)
    with pytest.raises(NoSpace):
        store.commit()
    with pytest.raises(StoreBroken):
        store.commit()


class NarrowDoor(SystemDoor):
    free: dict[str, int] = {}

    def space(self, path):
        return 1 << 40, self.free.get(path.name, (path.name == "index") << 40)


def test_no_room_is_refused_before_anything_is_written(tmp_path):
    door = NarrowDoor()
    store = create(make_settings(tmp_path, reserve_bytes=1000), door)
    door.free = {"disk0": 2183}
    with pytest.raises(NoSpace, match="184 bytes"):
        store.append(0, records(1))
    assert not store.is_broken
    door.free = {"disk0": 2184}
    store.append(0, records(1))
    store.commit()
    assert read(store, 1) == make_record(1)


@pytest.mark.parametrize(("free", "disk"), [(2184, "disk0"), (2183, "disk2")])
def test_containers_leave_room_for_the_journal(tmp_path, free, disk):
    """They cannot be moved: where they filled a disk down to the reserve, the next entry would stop all disks."""
    door = NarrowDoor()
    door.free = dict.fromkeys(("disk0", "disk1", "disk2"), 1 << 20)
    store = create(make_settings(tmp_path, disks=3, reserve_bytes=1000), door)
    door.free |= {"disk0": free, "disk1": 2000}
    store.append(0, records(1))
    store.commit()
    assert [path.parents[2].name for path in tmp_path.rglob("*.container")] == [disk]


@pytest.mark.parametrize("full", ["disk0", "disk1", "index"])
def test_a_disk_with_the_journal_keeps_its_reserve(tmp_path, full):
    """The records go to a disk with room, but the journal cannot: nothing is written, and reads go on."""
    door = NarrowDoor()
    door.free = dict.fromkeys(("disk0", "disk1", "disk2"), 1 << 30)
    store = create(make_settings(tmp_path, disks=3, reserve_bytes=10_000), door)
    store.append(2, records(1))
    store.commit()
    store.append(2, records(2))
    files = {path: path.read_bytes() for path in tmp_path.rglob("disk*/*/*") if path.is_file()}
    door.free[full] = 9_999
    with pytest.raises(NoSpace, match=full):
        store.append(2, records(3))
    door.free[full] = 4_999
    with pytest.raises(NoSpace, match=full):
        store.commit([CATALOG])
    assert {path: path.read_bytes() for path in tmp_path.rglob("disk*/*/*") if path.is_file()} == files
    assert not store.is_broken
    assert read(store, 1) == make_record(1)
    door.free[full] = 5_500
    store.commit([CATALOG])
    assert read(store, 2) == make_record(2)
    door.free[full] = 20_000
    store.append(2, records(3))
    store.commit()
    assert [read(store, seed) for seed in (1, 2, 3)] == [make_record(seed) for seed in (1, 2, 3)]


def test_a_full_home_disk_spills_to_the_roomiest(tmp_path):
    door = NarrowDoor()
    store = create(make_settings(tmp_path, disks=3), door)

    def disk_of(seed, home):
        store.append(home, records(seed))
        store.commit()
        (location,) = store.locate(KEYRING, [make_id(seed)])
        found = tmp_path.glob(f"disk*/containers/*/{location.container:012x}.container")
        return next(found).parts[-4]

    door.free = {"disk0": 10_000, "disk1": 50_000, "disk2": 90_000}
    assert disk_of(1, 0) == "disk0"
    assert disk_of(2, 1) == "disk1"
    door.free["disk0"] = 100
    assert disk_of(3, 0) == "disk2"
    assert disk_of(4, 77) == "disk2"
    assert [read(store, seed) for seed in (1, 2, 3, 4)] == [make_record(seed) for seed in (1, 2, 3, 4)]


def test_a_damaged_record_is_an_error_that_names_it(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(1))
    store.commit()
    (location,) = store.locate(KEYRING, [make_id(1)])
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    flip(path, location.offset + 100)
    with pytest.raises(RecordDamaged, match=f"{make_id(1).hex()}.*{path}.*offset 4096"):
        store.read(location, make_id(1))
    path.unlink()
    with pytest.raises(RecordDamaged, match="cannot be read"):
        store.read(location, make_id(1))


def test_a_store_must_recover_before_it_takes_more(tmp_path):
    settings = make_settings(tmp_path)
    create(settings).close()
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    with pytest.raises(StoreError, match="not recovered"):
        store.append(0, records(1))


def test_a_container_goes_on_after_a_restart(tmp_path):
    settings = make_settings(tmp_path)
    for seed in range(5):
        store = create(settings) if seed == 0 else reopen(settings)
        store.append(0, records(seed))
        store.commit()
        store.close()
    store = reopen(settings)
    assert store.statistics().containers == 1
    assert [read(store, seed) for seed in range(5)] == [make_record(seed) for seed in range(5)]


def test_a_record_must_be_as_long_as_it_says(tmp_path):
    store = create(make_settings(tmp_path))
    record = stored(make_record(1))
    with pytest.raises(StoreError, match="body_length"):
        store.append(0, [type(record)(record.header, record.cid, record.view[:-1])])


def test_statistics(tmp_path):
    store = create(make_settings(tmp_path, disks=2))
    store.append(1, records(1, 2))
    store.commit()
    statistics = store.statistics()
    assert (statistics.records, statistics.containers, statistics.journal_number) == (2, 1, 1)
    assert statistics.record_bytes == 8192
    assert [disk.number for disk in statistics.disks] == [0, 1]
    assert not statistics.is_broken


@pytest.mark.parametrize("change", [{"container_bytes": 1}, {"journal_segment_bytes": 1}, {"disk_paths": []}])
def test_settings_out_of_bounds_are_named(tmp_path, change):
    values = {"index_path": tmp_path / "index", "disk_paths": [tmp_path], "vault_id": KEY} | change
    with pytest.raises(FormatError, match=next(iter(change)).partition("_paths")[0]):
        create(StoreSettings(**values))
