"""A start neither removes nor writes over a copy of the journal that it only could not read."""

import errno
import shutil

import pytest

from tests.vaultd.store.fakes import create, make_record, make_settings, now_ns, read, records, reopen
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import StoreError


class UnreadDoor(SystemDoor):
    def __init__(self, *paths):
        self.paths = paths

    def read(self, handle, offset, length):
        if handle.path in self.paths:
            raise OSError(errno.EIO, "told to fail", str(handle.path))
        return super().read(handle, offset, length)


def journal_files(root):
    return {path: path.read_bytes() for path in sorted(root.glob("disk*/journal/*"))}


def newest(root, disk):
    return sorted(root.glob(f"disk{disk}/journal/*.journal"))[-1]


def long_journal(root, disks):
    settings = make_settings(root, disks, journal_segment_bytes=4096)
    store = create(settings)
    for number in range(50):
        store.append(0, records(number))
        store.commit()
    store.close()
    assert len(list(root.glob("disk0/journal/*"))) > 2
    return settings


def one_disk_older(root):
    """Both copies are of one segment; the second disk was away for all but the first entries."""
    settings = make_settings(root, disks=2)
    store = create(settings)
    store.append(0, records(0))
    store.commit()
    store.close()
    shutil.move(root / "disk1", root / "away")
    (root / "disk1").mkdir()
    store = reopen(settings)
    for number in range(1, 10):
        store.append(0, records(number))
        store.commit()
    store.close()
    (root / "disk1").rmdir()
    shutil.move(root / "away", root / "disk1")
    return settings


def refused(settings, door, root):
    before = journal_files(root)
    with pytest.raises(StoreError, match=r"cannot be read, .*: replace the disk or take it out of `disks`$"):
        ChunkStore.open(settings, door, now_ns)
    assert journal_files(root) == before


@pytest.mark.parametrize("disks", [1, 2])
def test_the_newest_segment_cannot_be_read_and_the_index_is_lost(tmp_path, disks):
    settings = long_journal(tmp_path, disks)
    shutil.rmtree(settings.index_path)
    refused(settings, UnreadDoor(*(newest(tmp_path, disk) for disk in range(disks))), tmp_path)
    store = reopen(settings)
    assert all(read(store, number) == make_record(number) for number in range(50))
    store.close()


def test_the_newest_segment_of_one_disk_cannot_be_read_and_the_other_disk_has_none(tmp_path):
    settings = long_journal(tmp_path, 2)
    shutil.rmtree(settings.index_path)
    newest(tmp_path, 1).unlink()
    refused(settings, UnreadDoor(newest(tmp_path, 0)), tmp_path)


@pytest.mark.parametrize("index", ["whole", "lost"])
def test_the_copy_with_the_newest_entries_cannot_be_read_and_the_other_is_older(tmp_path, index):
    settings = one_disk_older(tmp_path)
    if index == "lost":
        shutil.rmtree(settings.index_path)
    refused(settings, UnreadDoor(newest(tmp_path, 0)), tmp_path)
    store = reopen(settings)
    assert all(read(store, number) == make_record(number) for number in range(10))
    store.close()


@pytest.mark.parametrize("disk", [0, 1])
@pytest.mark.parametrize("segment", [0, -2, -1])
def test_where_the_index_vouches_the_unread_copy_is_kept_beside(tmp_path, disk, segment):
    settings = long_journal(tmp_path, 2)
    path = sorted(tmp_path.glob(f"disk{disk}/journal/*"))[segment]
    before = journal_files(tmp_path)
    taken = path.with_name(path.name + ".unread.1")
    taken.write_bytes(b"of an earlier start")
    store = ChunkStore.open(settings, UnreadDoor(path), now_ns)
    (finding,) = [found for found in store.recover(lambda key: True).findings if found.place == str(path)]
    store.close()
    kept = path.with_name(path.name + ".unread.2")
    assert finding.sentence == f"the disk refuses to read this copy of the journal: it was kept as {kept.name}"
    assert journal_files(tmp_path) == before | {taken: b"of an earlier start", kept: before[path]}


def test_an_older_segment_that_cannot_be_read_does_not_end_a_start_that_rebuilds_the_index(tmp_path):
    """The segment behind it says where it ends."""
    settings = long_journal(tmp_path, 2)
    shutil.rmtree(settings.index_path)
    path = sorted(tmp_path.glob("disk0/journal/*"))[-2]
    before = journal_files(tmp_path)
    store = reopen(settings, UnreadDoor(path))
    assert all(read(store, number) == make_record(number) for number in range(50))
    store.close()
    assert journal_files(tmp_path) == before | {path.with_name(path.name + ".unread.1"): before[path]}


def test_a_journal_without_an_entry_says_nothing_about_the_copy_that_cannot_be_read(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    create(settings).close()
    shutil.rmtree(settings.index_path)
    refused(settings, UnreadDoor(newest(tmp_path, 0)), tmp_path)


@pytest.mark.parametrize("disks", [1, 2])
def test_no_copy_of_the_newest_segment_can_be_read(tmp_path, disks):
    settings = make_settings(tmp_path, disks)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    store.close()
    refused(settings, UnreadDoor(*(newest(tmp_path, disk) for disk in range(disks))), tmp_path)
    store = reopen(settings)
    assert read(store, 1) == make_record(1)
    store.close()
