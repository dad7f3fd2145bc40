"""A restore that is killed at any call that changes something, and run again with the same rule: that finishes it.

After a call at which it is killed nothing changes any more, as if the process were gone.
"""

from __future__ import annotations

import errno
import gc
import os
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.restore import metadata
from tools.agent.restore.metadata import Rights
from tools.agent.restore.restore import Destination, Restored, prepare_root, restore
from tools.agent.restore.survey import Overwrite
from tools.agent.safeset.entries import wanted_paths
from tools.agent.safeset.unlock import Unlocked, Wanted, unlock
from tools.agent.system import sync

NOBODY = 65_534
CALLS = (
    "mkdir", "fchmod", "chmod", "utime", "fchown", "chown", "setxattr", "removexattr", "link", "unlink", "rename",
    "symlink", "mknod",
)  # fmt: skip
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
PASSWORD = "correct horse"


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def _descriptors_end() -> Iterator[None]:
    """What a process that was killed had open is closed by the kernel; here it is the process of all tests."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    gc.collect()  # what closes itself
    for number in set(os.listdir("/proc/self/fd")) - before:
        with suppress(OSError):  # the one that listed them
            os.close(int(number))


class Killer:
    """Kills at the call of this number; counts from 1."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        self.is_dead = False
        for name in CALLS:
            patch.setattr(os, name, self._counting(getattr(os, name)))
        patch.setattr(os, "open", self._opening(os.open))

    def _counting(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            if not self._meets():
                real(*arguments, **options)

        return call

    def _opening(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and self._meets():
                raise Killed
            return real(path, flags, *arguments, **options)

        return call

    def _meets(self) -> bool:
        """Whether it is dead; it dies once."""
        if self.is_dead:
            return True
        self.left -= 1
        if not self.left:
            self.is_dead = True
            raise Killed
        return False


@dataclass
class Case:
    """`owner` restores; `target` is made anew for each number. `paths` are asked for; without any, everything."""

    site: Site
    unlocked: Unlocked
    overwrite: Overwrite
    owner: int
    directory: Path
    paths: tuple[str, ...] = ()
    included: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        return self.directory / "target"

    @property
    def restored_source(self) -> Path:
        return self.target / self.site.source.relative_to("/")

    async def restore(self) -> Restored:
        destination = Destination(self.target, self.overwrite, Rights())
        paths = wanted_paths([bytes(self.site.source / path) for path in self.paths])
        os.setegid(self.owner)
        os.seteuid(self.owner)
        try:
            return await restore(self.unlocked, paths, destination, lambda *_: None)
        finally:
            os.seteuid(0)
            os.setegid(0)

    async def killed_at(self, number: int) -> bool:
        """Whether it had so many calls."""
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, number)
            try:
                await self.restore()
            except BaseException:
                if not killer.is_dead:
                    raise
            return killer.is_dead

    def wanted(self) -> dict[str, tuple[object, ...]]:
        """The source, or of it the files that are asked for or included, with what is above them."""
        everything, files = described(self.site.source), self.paths or self.included
        way = {str(part) for path in files for part in (Path(path), *Path(path).parents)}
        return {name: facts for name, facts in everything.items() if not files or name in way}

    def of_the_source(self, told: Sequence[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """What is above it has an owner whom not everybody can set."""
        return [(path, code) for path, code in told if path.startswith(bytes(self.site.source)[1:])]

    @contextmanager
    def begun(self, prepare: Callable[[Path], None] | None = None) -> Iterator[Case]:
        """With a target of its own."""
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            os.chmod(name, 0o711)
            one = replace(self, directory=Path(name))
            prepare_root(one.target)
            os.chown(one.target, self.owner, self.owner)
            if prepare is not None:
                prepare(one.restored_source)
            yield one

    def assert_finished(self, wanted: dict[str, tuple[object, ...]], when: str) -> None:
        assert described(self.restored_source) == wanted, when
        assert [path for path in self.target.rglob("*") if path.lstat().st_mode & stat.S_ISUID] == [], when


def acl(mask: int) -> bytes:
    nobody = 2**32 - 1
    entries = [(1, 7, nobody), (2, 6, 12345), (4, 5, nobody), (16, mask, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


def write_tree(source: Path, owner: int) -> None:
    """Modes that close a directory to its owner, or open it to all; names in several of them; the times last."""
    for name in ("closed", "open", "read-only/below", "shared", "names", "empty"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(name.encode())
    (source / "empty/file").unlink()
    os.link(source / "closed/file", source / "names/other")
    (source / "open/link").symlink_to("file")
    os.mkfifo(source / "read-only/fifo")
    os.setxattr(source / "shared", "user.note", b"kept")
    os.setxattr(source / "shared", DEFAULT, acl(5))
    os.setxattr(source / "shared", ACCESS, acl(7))
    everything = [source, *source.rglob("*")]
    for path in everything:
        os.chown(path, owner, owner, follow_symlinks=False)
    if not owner:
        os.chown(source / "shared", 4711, 4712)
        os.chown(source / "open/file", 4711, 4712)
    modes = {"closed": 0o700, "open": 0o1777, "read-only": 0o500, "read-only/below": 0o555, "empty": 0o711}
    for name, mode in modes.items():
        (source / name).chmod(mode)
    if not owner:
        (source / "shared").chmod(0o2770)
    for number, path in enumerate(sorted(everything, reverse=True)):
        os.utime(path, ns=(1, 1_500_000_000_000_000_000 + number), follow_symlinks=False)


def prepare_older(restored_source: Path) -> None:
    """Directories of others, older and open, in which nothing is."""
    for name in ("closed", "read-only/below", "shared"):
        (restored_source / name).mkdir(parents=True)
    for path in sorted(restored_source.rglob("*"), reverse=True):
        path.chmod(0o777)
        os.chown(path, 4713, 4713)
        os.utime(path, ns=(1, 1))
    os.utime(restored_source, ns=(1, 1))


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that a user who is nobody reaches."""
    with tempfile.TemporaryDirectory(prefix="killed-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def without_nameless_files(patch: pytest.MonkeyPatch) -> None:
    real = os.open

    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "told to fail")
        return real(path, flags, *arguments, **options)

    patch.setattr(os, "open", call)


@pytest.fixture(autouse=True)
def nothing_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill takes nothing that was written."""
    monkeypatch.setattr(sync, "sync_file_system", lambda descriptor: None)


def described(root: Path) -> dict[str, tuple[object, ...]]:
    """By path: mode, owners, time, content, attributes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        facts = status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, attributes
        found[str(path.relative_to(root))] = facts
    return found


async def made_case(site: Site, overwrite: Overwrite, owner: int, directory: Path) -> Case:
    write_tree(site.source, owner)
    assert (await site.back_up()).missed.kept == []
    unlocked = await unlock(site.agent.session, site.state, Wanted("job", None, 0), PASSWORD)
    return Case(site, unlocked, overwrite, owner, directory)


async def finish_each(
    case: Case, prepare: Callable[[Path], None] | None = None, told_at: Sequence[tuple[bytes, str]] = ()
) -> int:
    """How many calls a restore has, each of which was the last of one. `told_at`: what the next one tells."""
    number, was_killed, wanted = 0, True, case.wanted()
    while was_killed:
        number += 1
        with case.begun(prepare) as one:
            was_killed = await one.killed_at(number)
            finished = await one.restore()
            assert one.of_the_source(finished.missed.kept) == list(told_at), f"killed at call {number}"
            one.assert_finished(wanted, f"killed at call {number}")
            if "names/other" in wanted:
                names = [one.restored_source / name for name in ("closed/file", "names/other")]
                assert names[0].samefile(names[1]) is not bool(told_at), f"killed at call {number}"
    return number - 1


async def finish_pairs(case: Case, calls: int) -> None:
    """A sample of two kills in a row: for each call of the first restore one anywhere in the second, and one soon after
    that has taken up what the first has just made.
    """
    wanted = case.wanted()
    for first in range(1, calls + 1):
        for second in {first * 7 % calls + 1, max(first - 2, 1)}:
            with case.begun() as one:
                assert await one.killed_at(first)
                await one.killed_at(second)
                told = (await one.restore()).missed.kept
                when = f"killed at call {first}, then at call {second}"
                one.assert_finished(wanted, when)
                assert not one.of_the_source(told), when


@pytest.mark.parametrize(
    ("overwrite", "has_nameless"),
    [(Overwrite.never, True), (Overwrite.newer, True), (Overwrite.never, False), (Overwrite.always, False)],
)
async def test_the_next_one_finishes_it(
    site: Site, open_directory: Path, monkeypatch: pytest.MonkeyPatch, overwrite: Overwrite, has_nameless: bool
) -> None:
    case = await made_case(site, overwrite, 0, open_directory)
    if not has_nameless:
        without_nameless_files(monkeypatch)
    assert await finish_each(case) > 60


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.newer])
async def test_the_next_one_of_a_user_without_rights_finishes_it(
    site: Site, open_directory: Path, monkeypatch: pytest.MonkeyPatch, overwrite: Overwrite
) -> None:
    """Who may not even write into a directory once it has its mode."""
    monkeypatch.setattr(metadata, "_IS_ROOT", False)
    case = await made_case(site, overwrite, NOBODY, open_directory)
    assert await finish_each(case) > 60


async def test_the_next_one_finishes_it_where_no_link_can_be_made(
    site: Site, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not become a further name is written behind all others, into directories that are finished."""
    real = os.link

    def refuse(source: Any, *arguments: Any, **options: Any) -> None:
        if os.fsencode(source).startswith(b"/proc/self/fd/") and os.stat(source).st_nlink:
            raise OSError(errno.EMLINK, "told to fail")
        real(source, *arguments, **options)

    monkeypatch.setattr(os, "link", refuse)
    case = await made_case(site, Overwrite.never, 0, open_directory)
    told = (bytes(site.source / "names/other")[1:], "not one file with its other names any more")
    assert await finish_each(case, told_at=[told]) > 60


@pytest.mark.parametrize("overwrite", [Overwrite.newer, Overwrite.changed])
async def test_the_next_one_finishes_what_was_there_before(
    site: Site, open_directory: Path, overwrite: Overwrite
) -> None:
    """Directories of others that are older get the metadata of the safeset."""
    case = await made_case(site, overwrite, 0, open_directory)
    assert await finish_each(case, prepare_older) > 60


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.newer, Overwrite.changed])
async def test_the_next_one_finishes_what_lacks_a_file(site: Site, open_directory: Path, overwrite: Overwrite) -> None:
    """A directory that was as it should be gets another time from what comes into it."""
    case = await made_case(site, overwrite, 0, open_directory)

    def prepare(restored_source: Path) -> None:
        target = restored_source
        for _ in restored_source.relative_to(open_directory).parts[2:]:
            target = target.parent
        subprocess.run(["rsync", "-aHAX", "--relative", site.source, f"{target}/"], check=True)
        for name in ("open", "read-only/below", "shared"):
            (restored_source / name / "file").unlink()
            os.utime(restored_source / name, ns=(1, (site.source / name).stat().st_mtime_ns))

    assert await finish_each(case, prepare) > 10


@pytest.mark.parametrize(
    ("path", "overwrite", "owner"),
    [
        ("shared/file", Overwrite.never, 0),
        ("shared/file", Overwrite.changed, 0),
        ("open/link", Overwrite.never, 0),
        ("read-only/below/file", Overwrite.never, NOBODY),
    ],
)
async def test_the_next_one_of_a_path_finishes_the_directories_above_it(
    site: Site, open_directory: Path, monkeypatch: pytest.MonkeyPatch, path: str, overwrite: Overwrite, owner: int
) -> None:
    """Whether or not anything below them is missing; after two kills too, of which the second takes up what the first
    has just made.
    """
    monkeypatch.setattr(metadata, "_IS_ROOT", not owner)
    case = replace(await made_case(site, overwrite, owner, open_directory), paths=(path,))
    calls = await finish_each(case)
    assert calls > 20
    await finish_pairs(case, calls)


async def test_the_next_one_finishes_what_is_above_an_included_file(site: Site, open_directory: Path) -> None:
    site.define(include=[bytes(site.source / "shared/file")])
    case = replace(await made_case(site, Overwrite.never, 0, open_directory), included=("shared/file",))
    assert await finish_each(case) > 20


async def test_the_next_one_finishes_it_after_two_kills(site: Site, open_directory: Path) -> None:
    await finish_pairs(await made_case(site, Overwrite.never, 0, open_directory), 60)


@pytest.mark.parametrize("name", ["shared", "open"])
async def test_a_directory_above_a_path_that_is_no_restores_own_stays_as_it_is(
    site: Site, open_directory: Path, name: str
) -> None:
    """Temporary names in it as well."""
    case = replace(await made_case(site, Overwrite.always, 0, open_directory), paths=(f"{name}/file",))
    with case.begun() as one:
        there = one.restored_source / name
        there.mkdir(parents=True)
        os.chown(there, 4713, 4714)
        there.chmod(0o2755)
        (there / ".safeset-0123456789abcdef").touch()
        await one.restore()
        status = there.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2755, 4713, 4714)
        assert sorted(os.listdir(there)) == [".safeset-0123456789abcdef", "file"]
