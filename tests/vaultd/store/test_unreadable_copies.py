"""A copy that the disk refuses to read is a damaged copy: the other one serves."""

import errno

import pytest

from tests.vaultd.store.fakes import create, make_record, make_settings, read, records, reopen
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks import open_disks
from vaultd.store.erase_keys import EraseKeys, Owner, OwnerKind

JOB = Owner(OwnerKind.job, b"J" * 16)


class BadSector(SystemDoor):
    def __init__(self, part):
        self.part = part

    def read(self, handle, offset, length):
        if self.part in str(handle.path):
            raise OSError(errno.EIO, "told to fail")
        return super().read(handle, offset, length)


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
