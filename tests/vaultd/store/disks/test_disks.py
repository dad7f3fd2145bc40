import struct

import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT, create, flip, make_settings, reopen, short_hash
from vaultd.store.disk_door import SystemDoor, write_file
from vaultd.store.disks.opening import create_disk, lock_vault, open_disks, take_new_disk
from vaultd.store.errors import DiskMissing, InUse, StoreError


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / name for name in ("a", "b", "c")]
    for number, path in enumerate(found):
        path.mkdir()
        create_disk(SystemDoor(), path, VAULT, number, NOW_NS)
    return found


def test_the_identity_byte_by_byte(paths):
    disk = open_disks(SystemDoor(), paths, VAULT).online[1]
    head = struct.pack("<4sB3s16s16sIq4s", b"SSI1", 1, bytes(3), VAULT, disk.disk_id, 1, NOW_NS, bytes(4))
    assert (paths[1] / "disk.id").read_bytes() == head + short_hash(head)
    assert len(head) == 56


def test_disks_are_known_by_identity_and_not_by_path(paths):
    disks = open_disks(SystemDoor(), [paths[2], paths[0], paths[1]], VAULT)
    assert [disk.path for disk in disks.online] == paths
    assert disks.copy_directories("journal") == [paths[0] / "journal", paths[1] / "journal"]


def test_an_empty_mount_point_is_an_offline_disk(paths, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    gone = tmp_path / "gone"
    disks = open_disks(SystemDoor(), [paths[0], empty, gone], VAULT)
    assert disks.offline == (empty, gone)
    with pytest.raises(DiskMissing, match="6464"):
        disks.with_id(b"d" * 16, b"r" * 32)
    with pytest.raises(DiskMissing, match="journal"):
        open_disks(SystemDoor(), [paths[2], empty], VAULT)


def test_a_directory_becomes_the_lost_disk_only_where_it_is_marked_empty_and_the_only_one(paths, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    (new / "lost+found").mkdir()

    def take(found):
        take_new_disk(SystemDoor(), found, VAULT, NOW_NS)
        return open_disks(SystemDoor(), found, VAULT)

    assert take([paths[0], new, paths[2]]).offline == (new,)
    (new / "disk.new").touch()
    with pytest.raises(StoreError, match=f"2 disks are not here .*{tmp_path / 'gone'}.* only one can be replaced"):
        take([paths[0], new, tmp_path / "gone"])
    (new / "photos").touch()
    with pytest.raises(StoreError, match="it has more in it than disk.new"):
        take([paths[0], new, paths[2]])
    (new / "photos").unlink()
    (new / "containers").mkdir()
    (new / "containers" / "0000").mkdir()
    with pytest.raises(StoreError, match="it has more in it than disk.new"):
        take([paths[0], new, paths[2]])
    (new / "containers" / "0000").rmdir()
    assert [(disk.number, disk.path) for disk in take([paths[0], new, paths[2]]).online][1] == (1, new)
    assert not (new / "disk.new").exists()
    with pytest.raises(StoreError, match="twice"):
        take([paths[0], new, paths[1]])


def test_foreign_and_doubled_disks_are_refused_and_damaged_ones_are_offline(paths):
    with pytest.raises(StoreError, match="disk of vault"):
        open_disks(SystemDoor(), paths, b"v" * 16)
    with pytest.raises(StoreError, match="twice"):
        open_disks(SystemDoor(), [paths[0], paths[0]], VAULT)
    with pytest.raises(StoreError, match="already"):
        create_disk(SystemDoor(), paths[0], VAULT, 0, NOW_NS)
    for at in range(64):
        flip(paths[0] / "disk.id", at)
        disks = open_disks(SystemDoor(), paths, VAULT)
        assert [disk.number for disk in disks.online] == [1, 2]
        assert "disk.id is damaged" in disks.offline_findings()[0].sentence
        with pytest.raises(DiskMissing, match="disk.id is damaged"):
            open_disks(SystemDoor(), [paths[0], paths[2]], VAULT)
        flip(paths[0] / "disk.id", at)


def test_a_second_instance_is_refused(tmp_path):
    lock = lock_vault(tmp_path, [])
    with pytest.raises(InUse, match="another vaultd"):
        lock_vault(tmp_path, [])
    lock.close()
    lock_vault(tmp_path, []).close()


def test_another_vault_directory_on_the_same_disks_is_refused(paths, tmp_path):
    """A copied directory, started as a trial, would cut the open containers of the one that runs."""
    directories = [tmp_path / "vault", tmp_path / "copy"]
    for directory in directories:
        directory.mkdir()
    lock = lock_vault(directories[0], [*paths, tmp_path / "offline"])
    for path in paths:
        with pytest.raises(InUse, match=f"{path} is in use by another vaultd"):
            lock_vault(directories[1], [path])
    lock.close()
    (tmp_path / "link").symlink_to(paths[0])
    lock_vault(directories[1], [*paths, tmp_path / "link"]).close()


def test_a_small_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    (tmp_path / "file.tmp").write_bytes(b"left by a crash")
    write_file(SystemDoor(), path, b"one")
    write_file(SystemDoor(), path, b"two")
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("file", b"two")]


def test_names_that_a_killed_process_left_are_synced_at_the_next_start(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    create(settings).close()
    synced = []

    class Watching(SystemDoor):
        def fsync_directory(self, path):
            synced.append(path)
            super().fsync_directory(path)

    reopen(settings, Watching()).close()
    for path in settings.disk_paths:
        assert {path, *(path / name for name in ("containers", "journal", "checkpoints", "erase-keys"))} <= set(synced)
