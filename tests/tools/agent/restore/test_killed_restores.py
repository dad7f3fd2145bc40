"""A restore that is killed at any call that changes something, and run again with the same rule: that finishes it."""

import errno
import gc
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.refused_links import refuse_links
from tests.tools.agent.conftest import Site
from tests.tools.agent.restore.killed_case import Case, made_case
from tests.tools.agent.restore.owned_tree import described, prepare_older
from tools.agent.restore import metadata
from tools.agent.restore.survey import Overwrite
from tools.agent.system import sync

NOBODY = 65_534


@pytest.fixture(autouse=True)
def _descriptors_end() -> Iterator[None]:
    """What a process that was killed had open is closed by the kernel; here it is the process of all tests."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    gc.collect()  # what closes itself
    for number in set(os.listdir("/proc/self/fd")) - before:
        with suppress(OSError):  # the one that listed them
            os.close(int(number))


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


def assert_finished(case: Case, wanted: dict[str, tuple[object, ...]], when: str) -> None:
    assert described(case.restored_source) == wanted, when
    assert [path for path in case.target.rglob("*") if path.lstat().st_mode & stat.S_ISUID] == [], when


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
            assert_finished(one, wanted, f"killed at call {number}")
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
                assert_finished(one, wanted, when)
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
    refuse_links(monkeypatch)
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
