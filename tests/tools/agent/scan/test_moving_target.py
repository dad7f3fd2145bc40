"""Files that change, fail or go away while they are read: read again a few times, flagged, and never silently wrong."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.restore.survey import Overwrite
from tools.agent.scan import content
from tools.agent.scan.content import ATTEMPTS_MAX

MIB = 1024 * 1024
SMALL, LARGE = 5000, 3 * MIB
CHANGED, UNREADABLE, REPLACED = "changed while it was read", "unreadable", "replaced during the scan"


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more" * 10)


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(10))


def restore_mtime(path: Path) -> None:
    """The change time alone tells."""
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class Meddler:
    """Does something to a file after each of its first reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, what: Callable[[Path], None], times: int) -> None:
        self.path, self.what, self.left = path, what, times
        self.inode = path.stat().st_ino
        for name in ("read", "readv"):
            monkeypatch.setattr(content.os, name, self.meddling(getattr(os, name)))

    def meddling(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            if os.fstat(descriptor).st_ino != self.inode or not self.left:
                return read(descriptor, *arguments)
            self.left -= 1
            found = read(descriptor, *arguments)
            self.what(self.path)
            return found

        return call


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("what", [grow, shrink, rewrite, restore_mtime])
async def test_what_changes_once_is_read_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: Callable[[Path], None], size: int
) -> None:
    path = site.source / "file"
    path.write_bytes(os.urandom(size))
    with monkeypatch.context() as patch:
        Meddler(patch, path, what, 1)
        done = await site.back_up()
    assert done.missed.kept == []
    await site.restore()
    assert (site.restored_source / "file").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("what", [grow, rewrite, restore_mtime])
async def test_what_never_rests_is_flagged_and_the_rest_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: Callable[[Path], None], size: int
) -> None:
    path = site.source / "file"
    path.write_bytes(os.urandom(size))
    (site.source / "z").write_bytes(b"the rest")
    with monkeypatch.context() as patch:
        Meddler(patch, path, what, 1000)
        done = await site.back_up()
    assert done.missed.kept == [(bytes(path)[1:], CHANGED)]
    restored = await site.restore()
    assert restored.missed.kept == [(bytes(path)[1:], CHANGED)]
    assert (site.restored_source / "z").read_bytes() == b"the rest"
    assert (await site.back_up()).missed.kept == []
    await site.restore([bytes(path)], overwrite=Overwrite.always)
    assert (site.restored_source / "file").read_bytes() == path.read_bytes()


class Failing:
    """A disk that refuses a file's bytes behind the first half, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, times: int) -> None:
        self.inode, self.half, self.left, self.met = path.stat().st_ino, path.stat().st_size // 2, times, 0
        for name in ("read", "readv"):
            monkeypatch.setattr(content.os, name, self.failing(getattr(os, name)))

    def failing(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            is_hit = os.fstat(descriptor).st_ino == self.inode
            found = read(descriptor, *arguments)
            if is_hit and self.left and os.lseek(descriptor, 0, os.SEEK_CUR) > self.half:
                self.left -= 1
                self.met += 1
                raise OSError(errno.EIO, "told to fail")
            return found

        return call


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_disk_that_fails_for_a_moment_is_asked_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = site.source / "file"
    path.write_bytes(os.urandom(size))
    with monkeypatch.context() as patch:
        Failing(patch, path, ATTEMPTS_MAX - 1)
        done = await site.back_up()
    assert (done.missed.kept, done.scanned.protected_bytes) == ([], size)
    await site.restore()
    assert (site.restored_source / "file").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_disk_that_fails_half_way_costs_that_file_only(
    site: Site, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = site.source / "file"
    path.write_bytes(os.urandom(size))
    (site.source / "z").write_bytes(b"the rest")
    with monkeypatch.context() as patch:
        failing = Failing(patch, path, 1000)
        done = await site.back_up()
    assert (done.missed.kept, failing.met) == ([(bytes(path)[1:], UNREADABLE)], ATTEMPTS_MAX)
    restored = await site.restore()
    assert restored.missed.kept == [(bytes(path)[1:], "could not be read when the safeset was made")]
    assert os.listdir(site.restored_source) == ["z"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_other_content_of_the_same_size_and_time_is_noticed(site: Site, size: int) -> None:
    path = site.source / "file"
    path.write_bytes(os.urandom(size))
    for step in ("in place", "another file"):
        os.utime(path, ns=(1, 1_500_000_000_000_000_000))
        await site.back_up()
        await site.back_up()
        if step == "in place":
            path.write_bytes(os.urandom(size))
        else:
            path.with_name("other").write_bytes(os.urandom(size))
            path.with_name("other").rename(path)
        os.utime(path, ns=(1, 1_500_000_000_000_000_000))
        done = await site.back_up()
        assert done.scanned.bytes_read == size
    await site.restore()
    assert (site.restored_source / "file").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("into", ["directory", "link", "fifo", "nothing"])
async def test_what_becomes_something_else_is_told(site: Site, monkeypatch: pytest.MonkeyPatch, into: str) -> None:
    """Between the walk that saw it and the opening of it."""
    path = site.source / "file"
    path.write_bytes(b"content")
    (site.source / "z").write_bytes(b"the rest")
    real = content._open

    def change(found: Any) -> Any:
        if found.path == bytes(path)[1:] and path.is_file() and not path.is_symlink():
            path.unlink()
            if into == "directory":
                path.mkdir()
            elif into == "link":
                path.symlink_to("z")
            elif into == "fifo":
                os.mkfifo(path)
        return real(found)

    with monkeypatch.context() as patch:
        patch.setattr(content, "_open", change)
        done = await site.back_up()
    assert done.missed.kept == [(bytes(path)[1:], "vanished" if into == "nothing" else REPLACED)]
    restored = await site.restore()
    assert (restored.files, os.listdir(site.restored_source)) == (1, ["z"])
