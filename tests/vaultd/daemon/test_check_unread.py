"""`vaultd check --read-data` says that every record was read only where every record was, and else what was not."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site, make_site
from tests.vaultd.operations.test_safesets import commit_leaf
from vaultd.daemon.check import EXIT_DAMAGE, exit_code, summarise, summary_text
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault
from vaultd.store.disk_door import Door, Handle, SystemDoor

BLOCK_BYTES = 4096


class BadBlocks(SystemDoor):
    """The disk gives no container's bytes from `start` up to `end`."""

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._end = end

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        if handle.path.suffix == ".container" and offset < self._end and offset + length > self._start:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(handle.path))
        return super().read(handle, offset, length)


class Refused(SystemDoor):
    """No container can be opened."""

    def open_read(self, path: Path) -> Handle:
        if path.suffix == ".container":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return super().open_read(path)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A vault that was stopped: two accounts with a safeset each, all in one container."""
    site = make_site(tmp_path)
    commit_leaf(site, site.ready(site.administrator("acme")))
    commit_leaf(site, site.ready(site.administrator("other"), "desk"))
    close_vault(site.vault)
    return site


def container(site: Site) -> Path:
    (path,) = site.config.directory.glob("disk-*/containers/*/*.container")
    return path


def remove(site: Site) -> None:
    container(site).unlink()


def cut(site: Site) -> None:
    os.truncate(container(site), container(site).stat().st_size - BLOCK_BYTES)


def double(site: Site) -> None:
    shutil.copy(site.config.directory / "disk-1" / "disk.id", site.config.directory / "disk-2" / "disk.id")


def nothing(site: Site) -> None:
    pass


UNREAD = "what cannot be read of 1 container"
GONE = "what is gone of 1 container"
DISKS = "disks, journal, containers and index, and the jobs and safesets behind this"


@pytest.mark.parametrize(
    ("spoil", "door", "unchecked", "read"),
    [
        (nothing, BadBlocks(BLOCK_BYTES, 1 << 40), UNREAD, "no record was read"),
        (nothing, BadBlocks(BLOCK_BYTES, BLOCK_BYTES + 1), UNREAD, "every record that can be read was read"),
        (nothing, Refused(), UNREAD, "no record was read"),
        (remove, SystemDoor(), GONE, "no record was read"),
        (cut, SystemDoor(), GONE, "every record that can be read was read"),
        (double, SystemDoor(), DISKS, "no record was read"),
    ],
    ids=["bad-blocks", "bad-block", "refused", "gone", "cut", "no-disks"],
)
def test_what_was_not_read_is_told(
    site: Site, spoil: Callable[[Site], None], door: Door, unchecked: str, read: str
) -> None:
    spoil(site)
    summary = summarise(check_vault(site.config, door, read_data=True), read_data=True)
    assert exit_code(summary) == EXIT_DAMAGE
    assert ", and ".join(summary["not_checked"]) == unchecked
    assert summary_text(summary).splitlines()[-1] == (
        f"damage found in what was checked; not checked: {unchecked}; {read}"
    )


def test_a_record_that_is_damaged_was_not_read_either(site: Site) -> None:
    data = bytearray(container(site).read_bytes())
    data[BLOCK_BYTES + 100] ^= 1
    container(site).write_bytes(data)
    summary = summarise(check_vault(site.config, SystemDoor(), read_data=True), read_data=True)
    assert summary["not_checked"] == []
    assert summary_text(summary).splitlines()[-1] == "damage found; every record that can be read was read"
