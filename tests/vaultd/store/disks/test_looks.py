"""Looks after the disks: what the later of two at once found stays, and what a look cannot tell changes nothing."""

import errno
from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.opening import create_disk, open_disks


class HeldDoor(SystemDoor):
    """A look of any other thread than the first is held up at the last disk."""

    def __init__(self):
        self.first = get_ident()
        self.is_held, self.go_on = Event(), Event()

    def open_read(self, path):
        if "c" in path.parts and get_ident() != self.first:
            self.is_held.set()
            assert self.go_on.wait(60)
        return super().open_read(path)


@pytest.fixture
def disks(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for number, path in enumerate(paths):
        path.mkdir()
        create_disk(SystemDoor(), path, VAULT, number, NOW_NS)
    return open_disks(SystemDoor(), paths, VAULT)


def umount(disk):
    (disk.path / "disk.id").rename(disk.path / "umounted")


def mount(disk):
    (disk.path / "umounted").rename(disk.path / "disk.id")


@pytest.mark.parametrize("was_away", [True, False])
def test_an_older_look_that_ends_later_does_not_count(disks, was_away):
    """Either way: a disk that is back is not gone again, and one that is gone is not back."""
    door, first = HeldDoor(), disks.online[0]
    if was_away:
        umount(first)
    with ThreadPoolExecutor(1) as threads:
        older = threads.submit(disks.look, door)
        assert door.is_held.wait(60)
        mount(first) if was_away else umount(first)
        assert disks.look(door) is not was_away
        door.go_on.set()
        assert older.result(60) is was_away
    assert disks.has_gone(first.disk_id) is not was_away
    assert disks.is_any_away is not was_away


def test_the_next_look_counts_again(disks):
    door, first = SystemDoor(), disks.online[0]
    for _ in range(2):
        umount(first)
        assert disks.look(door)
        assert disks.has_gone(first.disk_id)
        mount(first)
        assert not disks.look(door)
        assert not disks.has_gone(first.disk_id)


class ShortDoor(SystemDoor):
    """Of a process that has no descriptor left, or no memory."""

    def __init__(self, number):
        self._number = number

    def open_read(self, path):
        raise OSError(self._number, "injected", str(path))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("was_away", [True, False])
def test_a_look_that_the_process_is_too_short_for_changes_nothing(disks, number, was_away):
    first = disks.online[0]
    if was_away:
        umount(first)
        disks.look(SystemDoor())
        mount(first)
    assert disks.look(ShortDoor(number)) is was_away
    assert disks.has_gone(first.disk_id) is was_away
    assert not disks.has_gone(disks.online[1].disk_id)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT, errno.ENXIO])
def test_a_disk_that_fails_is_gone(disks, number):
    assert disks.look(ShortDoor(number))
    assert all(disks.has_gone(disk.disk_id) for disk in disks.online)
