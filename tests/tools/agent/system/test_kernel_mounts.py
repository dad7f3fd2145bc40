"""What the kernel shows as files is left out, unless somebody includes it."""

import os
from pathlib import Path
from typing import Any

import pytest

from tools.agent.scan import walk as walk_module
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import make_selection
from tools.agent.system.kernel_mounts import UNSTEADY_TYPES, kernel_devices, mounted_devices

PROC = Path("/proc")


def names_of(walk: TreeWalk, root: Path) -> list[str]:
    return [os.path.relpath(os.fsdecode(b"/" + found.path), root) for found in walk if found.path.startswith(
        os.fsencode(root)[1:]
    )]  # fmt: skip


def test_the_table_of_mounts_names_them(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        b"22 27 0:21 / /proc rw,nosuid shared:5 master:7 - proc proc rw\n"
        b"23 27 0:22 / /with\\040space rw - tmpfs tmpfs rw,size=4k\n"
        b"26 24 0:300 / /sys rw - sysfs sysfs rw\n"
    )
    assert kernel_devices(mounts) == {os.makedev(0, 21), os.makedev(0, 300)}
    assert kernel_devices(tmp_path / "missing") == frozenset()
    assert os.stat(PROC).st_dev in kernel_devices()
    assert os.stat("/").st_dev not in kernel_devices()


def test_types_whose_change_times_say_nothing(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        b"60 27 7:3 / /snap/core ro,nodev shared:9 - squashfs /dev/loop3 ro\n"
        b"61 27 0:77 / /mnt rw - fuse.sshfs host:/ rw\n"
    )
    assert mounted_devices(UNSTEADY_TYPES, mounts) == {os.makedev(7, 3), os.makedev(0, 77)}


def as_if_mounted(patch: pytest.MonkeyPatch, root: Path, *names: str) -> None:
    """As if the kernel's files of this name were in the tree: everything at and below is on the device of /proc."""
    inside = {path.lstat().st_ino for name in names for path in [root / name, *(root / name).rglob("*")]}
    device, real_stat, real_fstat = os.stat(PROC).st_dev, os.stat, os.fstat

    def moved(status: os.stat_result) -> os.stat_result:
        if status.st_ino not in inside:
            return status
        return os.stat_result((*status[:2], device, *status[3:]))

    def stat(what: Any, **more: Any) -> os.stat_result:
        return moved(real_stat(what, **more))

    patch.setattr(walk_module.os, "stat", stat)
    patch.setattr(walk_module.os, "fstat", lambda descriptor: moved(real_fstat(descriptor)))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "tree"
    for name in ("proc/sys/deep", "plain"):
        (root / name).mkdir(parents=True)
    for name in ("proc/kcore", "proc/sys/deep/file", "namespace", "plain/file"):
        (root / name).touch()
    as_if_mounted(monkeypatch, root, "proc", "namespace")
    return root


def test_a_mount_of_the_kernel_is_an_empty_directory(tree: Path, tmp_path: Path) -> None:
    walk = TreeWalk(make_selection([bytes(tree)], [], False, None), tmp_path, pytest.fail)
    assert names_of(walk, tree) == [".", "plain", "plain/file", "proc"]
    assert walk.kernel_mounts_left == 2


def test_an_include_in_a_mount_of_the_kernel_is_taken(tree: Path, tmp_path: Path) -> None:
    include = [bytes(tree), bytes(tree / "proc" / "sys")]
    walk = TreeWalk(make_selection(include, [], False, None), tmp_path, pytest.fail)
    assert names_of(walk, tree) == [
        ".", "plain", "plain/file", "proc", "proc/sys", "proc/sys/deep", "proc/sys/deep/file",
    ]  # fmt: skip


def test_a_mount_of_the_kernel_that_is_included_is_taken(tree: Path, tmp_path: Path) -> None:
    walk = TreeWalk(make_selection([bytes(tree / "proc")], [], False, None), tmp_path, pytest.fail)
    assert names_of(walk, tree / "proc") == [".", "kcore", "sys", "sys/deep", "sys/deep/file"]
    assert walk.kernel_mounts_left == 0


def test_the_root_without_its_kernel(tmp_path: Path) -> None:
    """The real thing: nothing below the real /proc is found from the file system's root on."""
    everything = sorted(os.listdir("/"))
    walk = TreeWalk(
        make_selection([b"/"], [name for name in everything if name != "proc"], False, None), tmp_path, lambda *_: None
    )
    assert [found.path for found in walk] == [b"", b"proc"]
