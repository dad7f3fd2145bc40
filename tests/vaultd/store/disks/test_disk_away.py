"""A disk that is away, refuses for a time or comes back: nothing that it may vouch for is destroyed meanwhile, and
nothing that lies on it is taken for damaged."""

import errno
import shutil
import struct

import pytest

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    Crash,
    WrappedDoor,
    create,
    flip,
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
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers import reader as container_reader
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import DiskMissing, RecordDamaged


def recovered(settings, door=None):
    """The findings of a start."""
    store = ChunkStore.open(settings, door or SystemDoor(), now_ns)
    findings = store.recover(lambda key: True).findings
    store.close()
    return findings


def containers(root):
    return {path: path.read_bytes() for path in root.rglob("disk?/containers/*/*")}


class KilledBetweenCopies(WrappedDoor):
    def around(self, name, call, arguments, named):
        path = getattr(arguments[0], "path", arguments[0])
        if name == "pwrite" and "disk1/journal" in str(path):
            raise Crash
        return call(*arguments, **named)


def test_an_entry_that_one_copy_alone_has_finds_its_records_when_that_copy_comes_back(tmp_path):
    """It was not acknowledged; but the longer copy wins, and what it says must be there."""
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    store.append(1, records(1))
    store.commit()
    door = KilledBetweenCopies()
    store._door = store._journal._door = door
    store.append(1, records(2))
    with pytest.raises(Crash):
        store.commit()
    store.close()
    (tmp_path / "disk0").rename(tmp_path / "away")
    before = containers(tmp_path)
    recovered(settings)
    assert containers(tmp_path) == before
    (tmp_path / "away").rename(tmp_path / "disk0")
    store = reopen(settings)
    assert [read(store, number) for number in (1, 2)] == [make_record(1), make_record(2)]
    store.close()


@pytest.fixture
def older(tmp_path):
    """The journal's disks and the index come from an older copy, the containers of disks 2 and 3 do not."""
    settings = make_settings(tmp_path, disks=4)
    store = create(settings)
    store.append(2, records(1))
    store.commit()
    store.close()
    parts = ("disk0", "disk1", "index")
    for name in parts:
        shutil.copytree(tmp_path / name, tmp_path / "older" / name)
    store = reopen(settings)
    store.append(2, records(2))
    store.commit()
    for number in range(10, 40):
        store.append(3, records(number, size=5000))
        store.commit()
    store.close()
    for name in parts:
        shutil.rmtree(tmp_path / name)
        shutil.copytree(tmp_path / "older" / name, tmp_path / name)
    return settings


def bytes_kept(root, before):
    """Whether every byte that was there is there, in its place or beside."""
    now = containers(root)
    for path, data in before.items():
        here = now.get(path, b"")
        beside = [kept for name, kept in now.items() if name.name.startswith(path.name + ".")]
        assert data == here or data in beside or any(here + tail == data for tail in beside), path
    return True


def test_a_tail_on_a_disk_that_was_away_when_the_older_copy_was_noticed_is_kept(tmp_path, older):
    before = containers(tmp_path)
    (tmp_path / "disk2").rename(tmp_path / "away")
    recovered(older)
    (tmp_path / "away").rename(tmp_path / "disk2")
    for _ in range(2):
        recovered(older)
        assert bytes_kept(tmp_path, before)


def test_a_tail_that_could_not_be_kept_for_want_of_room_is_kept_later(tmp_path, older):
    class Full(WrappedDoor):
        def around(self, name, call, arguments, named):
            path = getattr(arguments[0], "path", arguments[0])
            if name == "pwrite" and path.name.endswith(".unacknowledged.tmp"):
                raise OSError(errno.ENOSPC, "full")
            return call(*arguments, **named)

    before = containers(tmp_path)
    for door in (Full(), Full(), SystemDoor()):
        recovered(older, door)
        assert bytes_kept(tmp_path, before)


def test_what_lies_on_a_disk_that_is_unmounted_while_the_vault_runs_is_not_damaged(tmp_path):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(1, 2, 3))
    store.commit()
    (tmp_path / "disk2").rename(tmp_path / "away")
    (tmp_path / "disk2").mkdir()
    for number in (1, 2, 3):
        with pytest.raises(DiskMissing, match="its disk went away"):
            read(store, number)
    (tmp_path / "disk2").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk2")
    store.append(0, records(4))
    store.commit()
    assert store.missing(KEYRING, [make_id(number) for number in (1, 2, 3)]) == [False] * 3
    assert read(store, 1) == make_record(1)
    store.close()


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_record_that_reads_well_again_is_no_more_damaged(tmp_path, is_committed):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, 2))
    store.commit()
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    flip(path, 4096 + 100)
    with pytest.raises(RecordDamaged):
        read(store, 1)
    if is_committed:
        store.commit()
    assert store.missing(KEYRING, [make_id(1)]) == [True]
    flip(path, 4096 + 100)
    assert read(store, 1) == make_record(1)
    store.commit()
    assert store.missing(KEYRING, [make_id(1)]) == [False]
    store.close()
    store = reopen(settings)
    assert store.missing(KEYRING, [make_id(1)]) == [False]
    assert read(store, 1) == make_record(1)
    store.close()


class BadSector(WrappedDoor):
    def __init__(self):
        self.refused = 0

    def read(self, handle, offset, length):
        if handle.path.name.endswith(".container") and offset <= 50_000 < offset + length:
            self.refused += 1
            raise OSError(errno.EIO, "bad sector")
        return super().read(handle, offset, length)


def test_a_sector_that_the_disk_refuses_costs_what_lies_on_it(tmp_path):
    settings = make_settings(tmp_path, container_bytes=1 << 20)
    store = create(settings)
    store.append(0, records(*range(100), size=5000))
    store.commit()
    store.close()
    shutil.rmtree(tmp_path / "index")
    door = BadSector()
    store = reopen(settings, door)
    missing = store.missing(KEYRING, [make_id(number) for number in range(100)])
    assert sum(missing) <= 2
    assert door.refused < 10
    for number in [number for number in range(100) if not missing[number]]:
        assert read(store, number) == make_record(number, 5000)
    store.close()


def test_a_sector_that_is_refused_at_a_start_marks_nothing_as_damaged(tmp_path):
    settings = make_settings(tmp_path, container_bytes=1 << 20)
    store = create(settings)
    store.append(0, records(*range(100), size=5000))
    store.commit()
    store.close()
    store = reopen(settings, BadSector())
    assert sum(store.missing(KEYRING, [make_id(number) for number in range(100)])) == 0
    store.close()


def of_headers(seed, size):
    """A record whose body is headers of records, one after another, each of a whole body."""
    inner = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, KEYRING, KEY, make_id(seed), size)
    inner += short_hash(inner)
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, KEYRING, KEY, make_id(seed), size)
    return head + short_hash(head) + (inner * (size // len(inner) + 1))[:size]


def test_forged_headers_behind_damage_are_not_hashed_without_end(tmp_path, monkeypatch):
    hashed = []
    cid_of = container_reader.cid

    def counting(record):
        hashed.append(len(record))
        return cid_of(record)

    size, limit = 1 << 18, 1 << 22
    settings = make_settings(tmp_path, container_bytes=1 << 24)
    store = create(settings)
    store.append(0, [stored(of_headers(number, size)) for number in (1, 2)])
    store.commit()
    store.close()
    flip(tmp_path / "disk0/containers/0000/000000000001.container", 4096 + 20)
    monkeypatch.setattr(container_reader, "cid", counting)
    monkeypatch.setattr(container_reader, "_UNVOUCHED_BYTES_MAX", limit)
    reopen(settings).close()
    assert sum(hashed) < limit + 4 * size
