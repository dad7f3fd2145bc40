"""One of the two disks with copies goes away while the store runs: nothing is put into the directory that is left at
its path, and where neither is here nothing is written at all.
"""

import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT, create, make_settings
from vaultd.store.disk_door import SystemDoor
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.errors import DiskMissing
from vaultd.store.index.checkpoint import CheckpointHeader, write_checkpoint
from vaultd.store.position import Position

JOB = Owner(OwnerKind.job, b"J" * 16)
NAME = b"J".hex() * 16


@pytest.fixture
def store(tmp_path):
    made = create(make_settings(tmp_path, disks=3))
    yield made
    made.close()


def unmount(tmp_path, number):
    """What is left is the empty directory below."""
    (tmp_path / f"disk{number}").rename(tmp_path / f"away{number}")
    (tmp_path / f"disk{number}").mkdir()


def mount(tmp_path, number):
    (tmp_path / f"disk{number}").rmdir()
    (tmp_path / f"away{number}").rename(tmp_path / f"disk{number}")


def key_files(tmp_path):
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/erase-keys/*"))


@pytest.mark.parametrize("number", [0, 1])
def test_only_a_disk_that_is_here_now_is_written_to(tmp_path, store, number):
    """Without a look before: the last one may be half a minute old."""
    unmount(tmp_path, number)
    here = tmp_path / f"disk{1 - number}"
    assert store.disks.copies_here(SystemDoor(), "checkpoints") == [here / "checkpoints"]
    mount(tmp_path, number)
    both = [tmp_path / "disk0/checkpoints", tmp_path / "disk1/checkpoints"]
    assert store.disks.copies_here(SystemDoor(), "checkpoints") == both


def test_another_disk_at_its_path_is_not_written_to(tmp_path, store):
    unmount(tmp_path, 0)
    (tmp_path / "disk0/disk.id").write_bytes((tmp_path / "disk2/disk.id").read_bytes())
    assert store.disks.copies_here(SystemDoor(), "journal") == [tmp_path / "disk1/journal"]


def test_where_neither_is_here_nothing_is_written(tmp_path, store):
    for number in (0, 1):
        unmount(tmp_path, number)
    with pytest.raises(DiskMissing, match="none of the first two disks is here"):
        store.disks.copies_here(SystemDoor(), "checkpoints")
    with pytest.raises(DiskMissing, match="none of the first two disks is here"):
        EraseKeys.on(SystemDoor(), store.disks).create(JOB)
    for number in (0, 1):
        assert list((tmp_path / f"disk{number}").iterdir()) == []


def test_no_place_at_all_is_no_success():
    header = CheckpointHeader(VAULT, Position(1, 1, bytes(32)), NOW_NS)
    with pytest.raises(DiskMissing, match="no disk to write a checkpoint to"):
        write_checkpoint(SystemDoor(), [], header, [])
    with pytest.raises(DiskMissing, match="no disk to write an erase key to"):
        EraseKeys(SystemDoor(), []).create(JOB)


@pytest.mark.parametrize("number", [0, 1])
def test_a_new_erase_key_has_two_copies_on_the_disk_that_is_left(tmp_path, store, number):
    keys = EraseKeys.on(SystemDoor(), store.disks)
    unmount(tmp_path, number)
    keys.create(JOB)
    here = f"disk{1 - number}/erase-keys/{NAME}"
    assert key_files(tmp_path) == [f"{here}.key", f"{here}.key2"]
    assert list((tmp_path / f"disk{number}").iterdir()) == []
    key = keys.load(JOB)
    mount(tmp_path, number)
    keys.mend(())
    assert f"disk{number}/erase-keys/{NAME}.key" in key_files(tmp_path)
    (tmp_path / f"{here}.key").unlink()
    (tmp_path / f"{here}.key2").unlink()
    assert keys.load(JOB) == key
