"""What mounts on demand: another file system before it is opened than after."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.trees import make_old
from tests.tools.agent.conftest import Site
from tools.agent.scan import scan as scan_module
from tools.agent.scan import walk as walk_module
from tools.agent.scan.walk import Found, TreeWalk
from tools.agent.system.kernel_mounts import kernel_devices

TRIGGER_DEVICE = os.makedev(0, 77)


def make_idle(patch: pytest.MonkeyPatch, directory: Path, mounts: Path) -> None:
    """As if the directory were a trigger: a look at its name does not mount, opening it does."""
    real, inode = os.stat, directory.stat().st_ino

    def stat(what: Any, **more: Any) -> os.stat_result:
        status = real(what, **more)
        if status.st_ino != inode:
            return status
        times = {"st_mtime_ns": status.st_mtime_ns, "st_ctime_ns": status.st_ctime_ns}
        return os.stat_result((*status[:2], TRIGGER_DEVICE, *status[3:]), times)

    mounts.write_bytes(b"40 1 0:77 / %s rw - autofs systemd-1 rw,fd=50,direct\n" % bytes(directory))
    patch.setattr(walk_module.os, "stat", stat)
    patch.setattr(walk_module, "kernel_devices", lambda: kernel_devices(mounts))


async def test_an_idle_automount_below_an_include_is_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = site.source / "disk"
    disk.mkdir()
    (disk / "file").write_bytes(b"content")
    make_idle(monkeypatch, disk, site.directory / "mountinfo")
    done = await site.back_up()
    assert (done.scanned.files, done.scanned.kernel_mounts, done.missed.kept) == (1, 0, [])


async def test_an_included_automount_is_one_file_system(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device of the trigger is not that of what is below it."""
    below = site.source / "directory"
    below.mkdir()
    (below / "file").write_bytes(b"content")
    site.define(one_file_system=True)
    make_idle(monkeypatch, site.source, site.directory / "mountinfo")
    done = await site.back_up()
    assert (done.scanned.files, done.missed.kept) == (1, [])


async def test_what_was_mounted_during_the_scan_has_no_honest_change_times_either(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick, say, that the walk itself mounts: each run reads what is on it."""
    (site.source / "file").write_bytes(b"content")
    real, mounted = TreeWalk.__iter__, set()

    def walk(self: TreeWalk) -> Iterator[Found]:
        mounted.add(site.source.stat().st_dev)
        return real(self)

    make_old(site.source)
    for _ in range(2):
        mounted.clear()
        with monkeypatch.context() as patch:
            patch.setattr(scan_module, "mounted_devices", lambda types: frozenset(mounted))
            patch.setattr(TreeWalk, "__iter__", walk)
            assert (await site.back_up()).scanned.bytes_read == len(b"content")
