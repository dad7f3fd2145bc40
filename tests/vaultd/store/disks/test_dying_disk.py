"""A disk that is mounted and fails keeps no vault from starting, unless it is one of the two with the journal."""

import errno
import os
import re
import shutil

import pytest

from tests.vaultd.store.fakes import (
    CHANGES,
    KEYRING,
    WrappedDoor,
    create,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
)
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disks.opening import lock_vault
from vaultd.store.errors import StoreError


class DyingDoor(WrappedDoor):
    def __init__(self, part: str, calls: set[str], number: int = errno.EIO) -> None:
        self.part, self.calls, self.number = part, calls, number

    def around(self, name, call, arguments, named):
        self.refuse(name, getattr(arguments[0], "path", arguments[0]))
        return call(*arguments, **named)

    def listdir(self, path):
        self.refuse("listdir", path)
        return super().listdir(path)

    def refuse(self, name, path):
        if name in self.calls and self.part in str(path):
            raise OSError(self.number, os.strerror(self.number), str(path))


def crashed(tmp_path):
    """Of three disks the last holds a container that nothing acknowledges."""
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    store.append(2, records(2))
    store.close()
    return settings


@pytest.mark.parametrize(
    ("door", "sentence"),
    [
        (DyingDoor("disk2", {"fsync_directory"}), "offline .*cannot be synced.*Input/output"),
        (DyingDoor("disk2", {"listdir"}), "cannot be listed"),
        (DyingDoor("disk2", CHANGES - {"fsync_directory"}, errno.EROFS), "cannot be removed.*Read-only"),
    ],
)
def test_a_disk_without_the_journal_that_fails_is_named_and_the_vault_starts(tmp_path, door, sentence):
    settings = crashed(tmp_path)
    store = ChunkStore.open(settings, door, now_ns)
    found = [finding for finding in store.recover(lambda key: True).findings if "disk2" in finding.place]
    assert any(re.search(sentence, finding.sentence) for finding in found)
    assert read(store, 1) == make_record(1)
    store.append(0, records(3))
    store.commit()
    store.close()
    store = reopen(settings)
    assert (read(store, 1), read(store, 3)) == (make_record(1), make_record(3))


def test_a_disk_that_became_read_only_is_read_and_takes_no_records(tmp_path, monkeypatch):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(2))
    store.commit()
    facts = os.statvfs(tmp_path)  # once: the disk with the most room is taken, and others write beside this test

    def read_only(path):
        flags = facts.f_flag | os.ST_RDONLY * ("disk2" in str(path))
        return os.statvfs_result((*facts[:8], flags, facts[9], facts.f_fsid))

    monkeypatch.setattr(os, "statvfs", read_only)
    for door in (None, DyingDoor("disk2", CHANGES - {"fsync_directory"}, errno.EROFS)):
        if door:
            store.close()
            store = reopen(settings, door)
        store.append(2, records(3 if door else 4))
        store.commit()
        assert read(store, 2) == make_record(2)
    assert sorted({row.disk_id for row in store.containers()}) == sorted(
        disk.disk_id for disk in store.disks.online if disk.number != 1
    )
    store.close()


@pytest.mark.parametrize("number", [0, 1])
def test_one_of_the_two_with_the_journal_is_not_done_without_once_it_answered(tmp_path, number):
    settings = crashed(tmp_path)
    with pytest.raises(StoreError, match=f"disk{number}.* cannot be synced: .*; replace the disk or take it offline"):
        reopen(settings, DyingDoor(f"disk{number}", {"fsync_directory"}))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_disk_that_cannot_be_locked_is_offline(tmp_path, monkeypatch, number):
    settings = crashed(tmp_path)
    dead = str(settings.disk_paths[number])
    real = os.open

    def refusing(path, *arguments, **named):
        if str(path).startswith(dead):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
    lock = lock_vault(tmp_path, settings.disk_paths)
    store = ChunkStore.open(settings, WrappedDoor(), now_ns)
    lock.take_online(store.disks)
    (finding,) = [one for one in store.recover(lambda key: True).findings if one.place == dead]
    assert "offline ([Errno 5] Input/output error" in finding.sentence
    store.close()
    lock.close()


def test_a_disk_that_answers_only_after_the_lock_was_taken_is_locked_too(tmp_path):
    settings = crashed(tmp_path)
    store = reopen(settings)
    lock = lock_vault(tmp_path, [])
    lock.take_online(store.disks)
    (tmp_path / "copy").mkdir()
    for path in settings.disk_paths:
        with pytest.raises(StoreError, match=f"{path} is in use by another vaultd"):
            lock_vault(tmp_path / "copy", [path])
    lock.take_online(store.disks)
    lock.close()
    store.close()


@pytest.mark.parametrize(
    ("number", "severity"), [(errno.EROFS, "warning"), (errno.ENOSPC, "warning"), (errno.EIO, "damage")]
)
@pytest.mark.parametrize("is_index_lost", [True, False])
def test_a_torn_tail_that_cannot_be_cut_does_not_hide_the_records_before_it(tmp_path, number, severity, is_index_lost):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(1))
    store.commit()
    store.close()
    (path,) = tmp_path.glob("disk2/containers/*/*.container")
    with path.open("ab") as file:
        file.write(b"torn" * 1000)
    if is_index_lost:
        shutil.rmtree(tmp_path / "index")
    door = DyingDoor("disk2", CHANGES | {"open_write"}, number)
    door.is_read_only = lambda path: number == errno.EROFS and path.name == "disk2"
    door.calls -= {"fsync_directory"}
    before = path.read_bytes()
    store = ChunkStore.open(settings, door, now_ns)
    (finding,) = store.recover(lambda key: True).findings
    assert finding.severity.value == severity
    assert "4000 bytes behind the acknowledged ones were left: the disk refuses the cut" in finding.sentence
    assert store.missing(KEYRING, [make_id(1)]) == [False]
    assert read(store, 1) == make_record(1)
    door.calls = set()
    door.is_read_only = lambda path: False
    store.append(0, records(2))
    store.commit()
    assert [row.number for row in store.containers()] == [1, 2], "it is not gone on with"
    store.close()
    assert path.read_bytes() == before
    store = reopen(settings)
    assert [read(store, number) for number in (1, 2)] == [make_record(1), make_record(2)]
    store.close()
