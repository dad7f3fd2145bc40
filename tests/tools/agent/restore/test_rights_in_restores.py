"""What a restore as root must not do: give rights that nobody had, or change what somebody put in its way."""

import errno
import os
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tests.tools.agent.restore.test_write_tree import KEY, directory_steps, entry, file_steps, write
from tools.agent.missed import Missed
from tools.agent.restore import make_node, target
from tools.agent.restore.metadata import Rights
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.write_tree import TreeWriter
from tools.agent.safeset.window import Begin, Window
from tools.client.manifest import Kind

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def acl(group: int, mask: int) -> bytes:
    """The owner rw, user 12345 rw, the group as said, others nothing."""
    nobody = 2**32 - 1
    entries = [(1, 6, nobody), (2, 6, 12345), (4, group, nobody), (16, mask, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


@pytest.fixture(name="root")
def make_root(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    (tmp_path / "outside").mkdir()
    return path


def test_a_node_that_is_exchanged_meanwhile_changes_nothing_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may write into the directory puts a file of root's in its place."""
    victim = root.parent / "outside" / "victim"
    victim.write_bytes(b"of root")
    victim.chmod(0o600)
    real = os.mknod

    def mknod(name: bytes, *arguments: Any, dir_fd: int) -> None:
        real(name, *arguments, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        os.link(victim, name, dst_dir_fd=dir_fd)

    monkeypatch.setattr(make_node.os, "mknod", mknod)
    missed = write(root, [Begin(entry(b"fifo", Kind.FIFO, mode=0o666, uid=1234, gid=1234))])
    assert missed.kept == [(b"fifo", "exists")]
    assert (stat.S_IMODE(victim.stat().st_mode), victim.stat().st_uid, victim.stat().st_nlink) == (0o600, 0, 1)


def test_a_directory_that_is_exchanged_meanwhile_changes_nothing_else(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = root.parent / "outside" / "victim"
    (victim / "below").mkdir(parents=True)
    victim.chmod(0o700)
    real = os.mkdir

    def mkdir(name: bytes, mode: int, *, dir_fd: int) -> None:
        real(name, mode, dir_fd=dir_fd)
        if name == b"d":
            os.rmdir(name, dir_fd=dir_fd)
            os.rename(victim, name, dst_dir_fd=dir_fd)

    monkeypatch.setattr(target.os, "mkdir", mkdir)
    missed = write(root, directory_steps(b"d", mode=0o777, uid=1234, gid=1234))
    assert missed.kept == [(b"d", "in the way")]
    status = (root / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, 0)


def test_a_node_gets_no_acl_from_its_directory(root: Path) -> None:
    (root / "d").mkdir()
    os.setxattr(root / "d", DEFAULT, acl(0, 6))
    write(root, [Begin(entry(b"d/fifo", Kind.FIFO, mode=0o660))])
    assert os.listxattr(root / "d/fifo") == []
    assert stat.S_IMODE((root / "d/fifo").stat().st_mode) == 0o660


def test_a_file_gets_no_acl_from_its_directory(root: Path) -> None:
    (root / "d").mkdir()
    os.setxattr(root / "d", DEFAULT, acl(0, 6))
    write(root, file_steps(b"d/file", mode=0o600))
    assert os.listxattr(root / "d/file") == []
    assert stat.S_IMODE((root / "d/file").stat().st_mode) == 0o600


def test_a_file_gets_no_group_from_its_directory(root: Path) -> None:
    (root / "d").mkdir()
    os.chown(root / "d", 0, 4714)
    (root / "d").chmod(0o2755)
    assert write(root, file_steps(b"d/file", mode=0o640)).kept == []
    status = (root / "d/file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 0)


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.always])
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_file_has_its_metadata_when_it_gets_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch, umask: int, overwrite: Overwrite
) -> None:
    """Whatever the process makes files with."""
    seen, real = [], os.link

    def link(source: bytes, *arguments: Any, **options: Any) -> None:
        status = os.stat(source)
        seen.append((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns))
        real(source, *arguments, **options)

    monkeypatch.setattr(os, "link", link)
    owners = ((0, 0), (4713, 0), (0, 4714))
    wanted = [(mode, *owner, 7) for mode in (0o777, 0o644, 0o600, 0o444, 0) for owner in owners]
    facts = [dict(zip(("mode", "uid", "gid", "mtime_ns"), one, strict=True)) for one in wanted]
    steps = [file_steps(b"%02d" % number, **facts[number]) for number in range(len(wanted))]
    before = os.umask(umask)
    try:
        assert write(root, [step for one in steps for step in one], overwrite).kept == []
    finally:
        os.umask(before)
    assert sorted(seen) == sorted(wanted)


@pytest.mark.parametrize("kind", [Kind.FIFO, Kind.DIRECTORY], ids=["fifo", "directory"])
def test_where_an_acl_cannot_be_set_the_group_gets_no_more_than_it_had(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    real = os.setxattr

    def setxattr(place: int | bytes, name: str | bytes, *arguments: Any, **options: Any) -> None:
        if b"acl" in os.fsencode(name):
            raise OSError(errno.EOPNOTSUPP, "told to fail")
        real(place, name, *arguments, **options)

    monkeypatch.setattr(os, "setxattr", setxattr)
    extras = {4: {ACCESS.encode(): acl(4, 6)}}
    missed = write(root, [Begin(entry(b"x", kind, mode=0o660, extras=extras))])
    assert (b"x", "extended attributes not set") in missed.kept
    assert stat.S_IMODE((root / "x").stat().st_mode) == 0o640


def test_capabilities_of_nodes_are_left_out_too(root: Path) -> None:
    extras = {4: {b"security.capability": struct.pack("<IIIII", 0x02000000, 1, 0, 0, 0)}}
    missed = write(root, [Begin(entry(b"fifo", Kind.FIFO, extras=extras))])
    assert [code for _, code in missed.kept] == ["set-user-id, set-group-id or capabilities left out (--privileged)"]
    assert os.listxattr(root / "fifo") == []


def test_a_directory_that_is_as_it_should_be_keeps_what_else_it_has(root: Path) -> None:
    """An ACL that was set since the backup, for example: only its time is set again."""
    (root / "d").mkdir(mode=0o755)
    os.setxattr(root / "d", DEFAULT, acl(4, 6))
    os.setxattr(root / "d", "user.mine", b"1")
    os.utime(root / "d", ns=(1, 1))
    writer = TreeWriter(root, Overwrite.never, KEY, Missed(), Rights())
    extras = {4: {b"user.theirs": b"2"}}
    steps = [*directory_steps(b"d", mode=0o755, mtime_ns=1, extras=extras), *directory_steps(b"d/new")]
    writer.write(Window(steps=steps))
    writer.close()
    assert sorted(os.listxattr(root / "d")) == [DEFAULT, "user.mine"]
    assert (root / "d").stat().st_mtime_ns == 1


async def test_attributes_that_fail_once_are_told_and_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are stored; the next run tries again although the file did not change."""
    (site.source / "file").write_bytes(b"content")
    for name in ("user.a", "user.b"):
        os.setxattr(site.source / "file", name, b"1")
    os.utime(site.source / "file", ns=(1, 1))
    real = os.getxattr

    def getxattr(place: Any, name: str, **options: Any) -> bytes:
        if name == "user.b":
            raise OSError(errno.EIO, "told to fail")
        return real(place, name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "getxattr", getxattr)
        for _ in range(2):
            done = await site.back_up()
            assert done.missed.kept == [(bytes(site.source / "file")[1:], "extended attributes unreadable")]
    assert (await site.back_up()).missed.kept == []
    await site.restore()
    assert sorted(os.listxattr(site.restored_source / "file")) == ["user.a", "user.b"]
