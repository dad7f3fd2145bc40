"""A disk goes away while the store runs: what lies on it is out of reach and not damaged, what comes goes elsewhere."""

import errno

import pytest

from tests.vaultd.store.fakes import KEYRING, WrappedDoor, create, make_id, make_record, make_settings, read, records
from vaultd.store.errors import DiskMissing, NoSpace, RecordDamaged, StoreBroken


class PulledDoor(WrappedDoor):
    """The third disk answers with `number` once it is pulled, but for what the system still has in memory."""

    def __init__(self, number, cached=()):
        self.number = number
        self.is_pulled = False
        self.cached = set(cached)

    def _refuse(self, path):
        if self.is_pulled and "disk2" in str(path) and path.name not in self.cached:
            raise OSError(self.number, "pulled", str(path))

    def drop_cache(self, handle, offset, length):
        if self.is_pulled:
            self.cached.discard(handle.path.name)
        super().drop_cache(handle, offset, length)

    def read(self, handle, offset, length):
        self._refuse(handle.path)
        return super().read(handle, offset, length)

    def around(self, name, call, arguments, named):
        self._refuse(getattr(arguments[0], "path", arguments[0])) if name != "close" else None
        return call(*arguments, **named)

    def space(self, path):
        self._refuse(path)
        return super().space(path)


def running(tmp_path, door):
    store = create(make_settings(tmp_path, disks=3), door)
    store.append(2, records(1))
    store.commit()
    return store


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOENT])
def test_a_pulled_disk_is_not_damage_also_where_its_identity_is_still_in_memory(tmp_path, number):
    door = PulledDoor(number, {"disk.id"})
    store = running(tmp_path, door)
    door.is_pulled = True
    with pytest.raises(DiskMissing, match="went away"):
        read(store, 1)
    assert store.missing(KEYRING, [make_id(1)]) == [False]
    door.is_pulled = False
    assert read(store, 1) == make_record(1)
    store.close()


def test_a_bad_sector_of_a_disk_that_is_there_is_damage(tmp_path):
    door = PulledDoor(errno.EIO)
    store = running(tmp_path, door)
    door.read = lambda handle, offset, length: (
        PulledDoor.read(door, handle, offset, length) if handle.path.name == "disk.id" else _fail()
    )
    with pytest.raises(RecordDamaged):
        read(store, 1)
    store.close()


def _fail():
    raise OSError(errno.EIO, "bad sector")


def places(store):
    return [(one.place.rsplit("/", 1)[-1], one.disk.number) for one in store.disks.away()]


def test_a_look_finds_it_and_new_records_go_to_another_disk(tmp_path):
    """What is mounted at its path now is the file system below: it has room, and it is not the disk."""
    door = WrappedDoor()
    store = running(tmp_path, door)
    assert places(store) == []
    (tmp_path / "disk2").rename(tmp_path / "away")
    (tmp_path / "disk2").mkdir()
    store.look_after_disks()
    assert places(store) == [("disk2", 2)]
    assert store.statistics().offline == [str(tmp_path / "disk2")]
    (finding,) = store.disks.offline_findings()
    assert "it went away while vaultd ran: bring it back and restart vaultd" in finding.sentence
    store.append(2, records(2))
    store.commit()
    third = store.disks.find_number(2).disk_id
    assert [row.disk_id == third for row in store.containers()] == [True, False]
    assert list((tmp_path / "disk2").iterdir()) == []
    (tmp_path / "disk2").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk2")
    store.look_after_disks()
    assert places(store) == []
    assert [read(store, number) for number in (1, 2)] == [make_record(1), make_record(2)]
    store.close()


@pytest.mark.parametrize("number", [0, 1])
def test_one_copy_of_the_journal_is_said_when_one_of_the_two_goes(tmp_path, number):
    store = running(tmp_path, WrappedDoor())
    (tmp_path / f"disk{number}").rename(tmp_path / "away")
    store.look_after_disks()
    (finding,) = store.disks.offline_findings()
    assert "journal, checkpoints and erase keys are on one disk only" in finding.sentence
    store.close()


def test_where_every_disk_is_gone_there_is_no_room(tmp_path):
    store = create(make_settings(tmp_path))
    (tmp_path / "disk0/disk.id").rename(tmp_path / "disk.id")
    store.look_after_disks()
    with pytest.raises(NoSpace):
        store.append(0, records(1))
    (tmp_path / "disk.id").rename(tmp_path / "disk0/disk.id")
    store.look_after_disks()
    store.append(0, records(1))
    store.commit()
    assert read(store, 1) == make_record(1)
    store.close()


def test_a_write_to_it_before_the_look_stops_the_store_and_acknowledges_nothing(tmp_path):
    door = PulledDoor(errno.EIO)
    store = running(tmp_path, door)
    store.append(2, records(2))
    door.is_pulled = True
    with pytest.raises(StoreBroken):
        store.commit()
    with pytest.raises(StoreBroken):
        store.append(0, records(3))
    store.close()
