"""What was mounted below an included path and is not any more: told in each run."""

import os
from pathlib import Path

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.scan import included as included_module
from tools.agent.scan import walk as walk_module
from tools.client.failure import describe

NOT_MOUNTED = "nothing is mounted there any more: compare what is in it with what ought to be"
LOST = "nothing is mounted here any more"
GONE = "the mount is gone with its directory"


class Mounts:
    """As if there were other file systems at some directories and below them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.devices: dict[int, int] = {}
        self._real_stat, self._real_fstat = os.stat, os.fstat
        patch.setattr(walk_module.os, "stat", lambda what, **more: self._moved(self._real_stat(what, **more)))
        patch.setattr(walk_module.os, "fstat", lambda descriptor: self._moved(self._real_fstat(descriptor)))

    def mount(self, directory: Path, device: int) -> None:
        for path in [directory, *directory.rglob("*")]:
            self.devices[path.lstat().st_ino] = device

    def _moved(self, status: os.stat_result) -> os.stat_result:
        device = self.devices.get(status.st_ino, status.st_dev)
        times = {"st_mtime_ns": status.st_mtime_ns, "st_ctime_ns": status.st_ctime_ns}
        return os.stat_result((*status[:2], device, *status[3:]), times)


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> Mounts:
    return Mounts(monkeypatch)


def take_away(directory: Path) -> None:
    """The mount point is another, empty directory."""
    directory.rename(directory.parent.parent / "away")
    directory.mkdir()


async def test_a_disk_that_is_not_mounted_any_more_is_told_in_each_run(site: Site, mounts: Mounts) -> None:
    disk, plain = site.source / "disk", site.source / "plain"
    for directory in (disk / "inner", plain):
        directory.mkdir(parents=True)
        (directory / "file").touch()
    mounts.mount(disk, 4001)
    mounts.mount(disk / "inner", 4002)
    assert (await site.back_up()).missed.kept == []
    take_away(disk)
    (plain / "file").unlink()
    for _ in range(2):
        assert (await site.back_up()).missed.kept == [(bytes(disk)[1:], LOST)]
        assert site.vault.ended[-1].outcome == "warnings"
    # Mounted again, but for what was mounted in it.
    (disk / "file").touch()
    (disk / "inner").mkdir()
    mounts.mount(disk, 4001)
    assert (await site.back_up()).missed.kept == [(bytes(disk / "inner")[1:], LOST)]
    (disk / "inner").rmdir()
    assert (await site.back_up()).missed.kept == [(bytes(disk / "inner")[1:], GONE)]
    assert (await site.back_up()).missed.kept == []


async def test_without_a_cache_it_is_told_too(site: Site, mounts: Mounts) -> None:
    disk = site.source / "disk"
    disk.mkdir()
    (disk / "file").touch()
    mounts.mount(disk, 4001)
    await site.back_up()
    take_away(disk)
    site.state.job(b"j" * 16).cache_path.unlink()
    assert (await site.back_up()).missed.kept == [(bytes(disk)[1:], LOST)]


async def test_a_number_of_mounts_is_remembered(site: Site, mounts: Mounts) -> None:
    for number in range(1003):
        directory = site.source / f"{number:04}"
        directory.mkdir()
        (directory / "file").touch()
        mounts.mount(directory, 5000 + number)
    await site.back_up()
    expected = site.state.job(b"j" * 16).load_expected()
    assert expected is not None
    assert len(expected.mounts) == 1000


async def test_a_mount_that_is_one_too_many_is_told(
    site: Site, mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(included_module, "_MOUNTS_MAX", 1)
    for number in range(2):
        directory = site.source / f"{number}"
        directory.mkdir()
        (directory / "file").touch()
        mounts.mount(directory, 5000 + number)
    done = await site.back_up()
    assert done.missed.kept == [(bytes(site.source / "1")[1:], "one mount too many to be watched")]


def filled(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for number in range(20):
        (directory / f"file {number}").write_bytes(b"%d" % number)


async def test_a_file_below_the_mount_point_does_not_hide_that_its_disk_is_away(site: Site, mounts: Mounts) -> None:
    disk = site.source / "disk"
    filled(disk)
    mounts.mount(disk, 4001)
    assert (await site.back_up()).missed.kept == []
    take_away(disk)
    (disk / ".keep").touch()
    for _ in range(2):
        assert (await site.back_up()).missed.kept == [(bytes(disk)[1:], LOST)]


@pytest.mark.parametrize("below", [(), (".keep",), ("file 1", "new")])
async def test_an_included_disk_that_is_not_mounted_ends_the_run(
    site: Site, mounts: Mounts, below: tuple[str, ...]
) -> None:
    filled(site.source)
    mounts.mount(site.source, 4001)
    await site.back_up()
    site.source.rename(site.source.parent / "away")
    site.source.mkdir()
    for name in below:
        (site.source / name).touch()
    for _ in range(2):
        with pytest.raises(ExceptionGroup) as caught:
            await site.back_up()
        assert "nothing is mounted at the included path" in describe(caught.value).message
    assert len(site.vault.roots) == 1


@pytest.mark.parametrize("is_included", [True, False])
async def test_files_that_lie_in_the_mount_point_themselves_now_are_no_loss(
    site: Site, mounts: Mounts, is_included: bool
) -> None:
    disk = site.source if is_included else site.source / "disk"
    filled(disk)
    mounts.mount(disk, 4001)
    await site.back_up()
    mounts.devices.clear()
    (disk / "file 3").unlink()
    for _ in range(2):
        assert (await site.back_up()).missed.kept == []


async def test_a_mount_point_that_goes_with_its_mount_is_told_once(site: Site, mounts: Mounts) -> None:
    disk = site.source / "LABEL"
    filled(disk)
    filled(site.source / "other")
    mounts.mount(disk, 4001)
    await site.back_up()
    disk.rename(site.source.parent / "away")
    assert (await site.back_up()).missed.kept == [(bytes(disk)[1:], GONE)]
    assert site.vault.ended[-1].outcome == "warnings"
    assert (await site.back_up()).missed.kept == []


async def test_an_included_path_whose_files_lie_on_the_disk_around_it_now_is_backed_up_without_a_cache(
    site: Site, mounts: Mounts
) -> None:
    """Where nobody knows what was in it, the run tells and goes on; what is empty still ends it."""
    for number in range(5):
        (site.source / f"{number}").write_bytes(b"x")
    mounts.mount(site.source, 4001)
    await site.back_up()
    mounts.devices.clear()
    site.state.job(b"j" * 16).cache_path.unlink()
    assert (await site.back_up()).missed.kept == [(bytes(site.source)[1:], NOT_MOUNTED)]
    assert (await site.back_up()).missed.kept == [(bytes(site.source)[1:], NOT_MOUNTED)], "it is told each time"
    next(site.state.path.rglob("expected.json")).unlink()  # as docs/operations.md says
    assert (await site.back_up()).missed.kept == []
    assert len(site.vault.roots) == 4
