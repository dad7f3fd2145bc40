"""A copy that the disk refuses to read is a damaged copy: the other one serves."""

import errno
import shutil

import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT, create, make_record, make_settings, now_ns, read, records, reopen
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.opening import open_disks
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.index.checkpoint import CheckpointHeader, write_checkpoint

JOB = Owner(OwnerKind.job, b"J" * 16)


class BadSector(SystemDoor):
    def __init__(self, part):
        self.part = part

    def read(self, handle, offset, length):
        if self.part in str(handle.path):
            raise OSError(errno.EIO, "told to fail")
        return super().read(handle, offset, length)


class DeadFile(BadSector):
    """Nothing of the file can be had, not even its size, nor the names in a directory."""

    def open_read(self, path):
        self._refuse(path)
        return super().open_read(path)

    def size(self, path):
        self._refuse(path)
        return super().size(path)

    def listdir(self, path):
        self._refuse(path)
        return super().listdir(path)

    def _refuse(self, path):
        if self.part in str(path):
            raise OSError(errno.EIO, "told to fail", str(path))


@pytest.mark.parametrize("door", [BadSector, DeadFile])
@pytest.mark.parametrize("read_data", [True, False])
@pytest.mark.parametrize(
    "part",
    [
        "disk0/journal/",
        "disk1/journal/",
        "disk0/journal",
        "disk1/checkpoints/",
        "disk0/checkpoints",
        "disk0/containers/0000/000000000001",
        "disk0/containers/0000/000000000002",
        "disk0/containers/0000",
        "disk0/erase-keys/",
        "disk1/erase-keys",
        "disk1/disk.id",
    ],
)
def test_the_check_names_what_the_disk_refuses_and_goes_on(tmp_path, part, read_data, door):
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    store.append(0, records(1, 2, 3, 4, size=20_000))
    position = store.commit()
    header = CheckpointHeader(VAULT, position, NOW_NS)
    write_checkpoint(SystemDoor(), store.disks.copy_directories("checkpoints"), header, [])
    EraseKeys(SystemDoor(), store.disks.copy_directories("erase-keys")).create(JOB)
    store.close()
    report = check_store(settings, door(part), read_data=read_data)
    assert any(part.removesuffix("/disk.id") in finding.place for finding in report.findings)
    assert report.counts.records_in_index == 4
    whole = check_store(settings, SystemDoor(), read_data=read_data)
    assert whole.findings == []


@pytest.mark.parametrize("disk", [0, 1])
def test_one_unreadable_copy_of_each_kind(tmp_path, disk):
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    directories = store.disks.copy_directories("erase-keys")
    store.close()
    keys = EraseKeys(SystemDoor(), directories)
    keys.create(JOB)
    assert EraseKeys(BadSector(f"disk{disk}/erase-keys"), directories).load(JOB) == keys.load(JOB)
    disks = open_disks(BadSector(f"disk{disk}/disk.id"), settings.disk_paths, settings.vault_id)
    assert disks.offline == (settings.disk_paths[disk],)
    store = reopen(settings, BadSector(f"disk{disk}/journal"))
    assert read(store, 1) == make_record(1)
    store.close()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("index", ["whole", "lost"])
@pytest.mark.parametrize("door", [BadSector, DeadFile])
def test_a_container_that_the_disk_refuses_does_not_keep_the_vault_from_starting(tmp_path, number, index, door):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, 2, 3, 4, size=20_000))  # three in the first container, which is sealed
    store.commit()
    store.close()
    if index == "lost":
        shutil.rmtree(settings.index_path)
    store = reopen(settings, door(f"{number:012x}.container"))
    hit, whole = ((1, 2, 3), (4,)) if number == 1 else ((4,), (1, 2, 3))
    assert all(read(store, seed) == make_record(seed, 20_000) for seed in whole)
    store.append(0, records(9))
    store.commit()
    store.close()
    store = reopen(settings)
    assert all(read(store, seed) == make_record(seed, 20_000) for seed in (*hit, *whole))
    assert read(store, 9) == make_record(9)


def test_a_lost_sealed_container_is_named_at_the_start(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, 2, 3, 4, size=20_000))
    store.commit()
    store.close()
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    path.unlink()
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    (finding,) = store.recover(lambda key: True).findings
    assert (finding.place, finding.sentence) == (str(path), "the container is gone")
