"""An included path that is not what it was: a disk that is not mounted never becomes a complete safeset."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import JOB_ID, Site
from tests.tools.agent.scan.test_unlisted_directory import refuse_listing
from tools.agent.scan import content as content_module
from tools.agent.scan import sorted_names as sorted_names_module
from tools.agent.scan import walk as walk_module
from tools.client.failure import Failure, describe


def make_includes(site: Site) -> tuple[Path, Path]:
    """Two included directories with a file in each."""
    first, second = site.directory / "first", site.directory / "second"
    for directory in (first, second):
        directory.mkdir()
        (directory / "file").write_bytes(b"content")
    site.define(include=[bytes(first), bytes(second)])
    return first, second


async def refused(site: Site) -> Failure:
    """The sentence of a run that fails and leaves the safesets as they are."""
    before = len(site.vault.roots)
    with pytest.raises(BaseException) as caught:  # noqa: B017  (a group, or one)
        await site.back_up()
    assert len(site.vault.roots) == before
    assert site.vault.ended[-1].outcome == "failed"
    failure = describe(caught.value)
    assert failure.exit_code == 1
    return failure


def take_away(path: Path, how: str) -> None:
    path.rename(path.parent / "away")
    if how == "emptied":
        path.mkdir()
    if how == "link":
        path.symlink_to("away")
    if how == "file":
        path.write_bytes(b"")


@pytest.mark.parametrize("is_inner", [False, True])
@pytest.mark.parametrize("how", ["moved", "emptied", "link", "file"])
async def test_an_include_without_its_files_makes_no_safeset(site: Site, how: str, is_inner: bool) -> None:
    first, second = make_includes(site)
    if is_inner:
        site.define(include=[bytes(site.directory), bytes(first), bytes(second)])
    await site.back_up()
    take_away(second, how)
    failure = await refused(site)
    assert str(second) in failure.message
    assert "the other paths were not backed up either" in failure.hint
    if how == "link":
        assert "is a link now" in failure.message
        assert "Create a job that includes what the link points to" in failure.hint
    else:
        assert "Is its disk mounted?" in failure.hint
    # What the hints say helps, and nothing was forgotten by the run that failed.
    if not second.is_dir() or second.is_symlink():
        second.unlink(missing_ok=True)
        second.mkdir()
    (second / "kept").mkdir()
    assert (await site.back_up()).missed.count == 0


@pytest.mark.parametrize("is_first_run", [True, False])
@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
async def test_an_include_that_cannot_be_listed_makes_no_safeset(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_first_run: bool, error: int
) -> None:
    _, second = make_includes(site)
    if not is_first_run:
        await site.back_up()
    real, inode = os.scandir, second.stat().st_ino

    def scandir(descriptor: int) -> Any:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(error, os.strerror(error))
        return real(descriptor)

    monkeypatch.setattr(sorted_names_module.os, "scandir", scandir)
    assert (await refused(site)).message == f"the included path {second} cannot be read"


async def test_an_included_file_that_cannot_be_read_makes_no_safeset(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = make_includes(site)
    site.define(include=[bytes(second / "file")])

    def refuse(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(content_module, "_open", refuse)
    assert (await refused(site)).message == f"the included path {second}/file cannot be read"


@pytest.mark.parametrize("is_first_run", [True, False])
async def test_an_include_below_a_directory_that_cannot_be_listed_makes_no_safeset(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_first_run: bool
) -> None:
    inner = site.source / "above" / "inner"
    inner.mkdir(parents=True)
    site.define(include=[bytes(site.source), bytes(inner)])
    if not is_first_run:
        await site.back_up()
    refuse_listing(monkeypatch, inner.parent.stat().st_ino, 0)
    assert (await refused(site)).message == f"the included path {inner} cannot be read"


async def test_an_include_that_never_was_there_stays_a_warning(site: Site) -> None:
    first, _ = make_includes(site)
    never = site.directory / "never"
    site.define(include=[bytes(first), bytes(never)])
    for _ in range(2):
        assert (await site.back_up()).missed.kept == [(bytes(never)[1:], "include not found")]


async def test_an_include_behind_a_link_is_told_as_such(site: Site) -> None:
    (site.source / "above").mkdir()
    (site.source / "above" / "file").touch()
    site.define(include=[bytes(site.source / "above" / "file")])
    await site.back_up()
    (site.source / "above").rename(site.source / "moved")
    (site.source / "above").symlink_to("moved")
    failure = await refused(site)
    assert "goes through a link now" in failure.message
    assert "Create a job that includes what the link points to" in failure.hint


async def test_an_include_with_excluded_files_only_stops_no_run(site: Site) -> None:
    """A spool: what is to be stored was taken out of it, and what is left is excluded."""
    _, second = make_includes(site)
    (second / "half.tmp").touch()
    site.define(exclude=["*.tmp"])
    await site.back_up()
    (second / "file").unlink()
    done = await site.back_up()
    assert (done.scanned.files, done.missed.kept) == (1, [])


async def test_an_include_that_always_was_empty_is_no_error(site: Site) -> None:
    for _ in range(2):
        assert (await site.back_up()).missed.kept == []


async def test_where_nothing_is_known_an_empty_include_is_a_warning(site: Site) -> None:
    _, second = make_includes(site)
    await site.back_up()
    take_away(second, "emptied")
    site.state.job(JOB_ID).cache_path.unlink()
    (site.state.job(JOB_ID).directory / "expected.json").unlink()
    assert (await site.back_up()).missed.kept == [(bytes(second)[1:], "include is empty")]
    assert site.vault.ended[-1].outcome == "warnings"


@pytest.mark.parametrize("how", ["moved", "emptied", "link", "file"])
@pytest.mark.parametrize("lost", ["cache", "base"])
async def test_without_a_cache_an_include_without_its_files_makes_no_safeset(site: Site, lost: str, how: str) -> None:
    _, second = make_includes(site)
    await site.back_up()
    take_away(second, how)
    for _ in range(2):
        site.vault.base_known = lost != "base"
        if lost == "cache":
            site.state.job(JOB_ID).cache_path.unlink()
        assert str(second) in (await refused(site)).message


async def test_a_directory_above_an_include_that_cannot_be_looked_at_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.source / "file").write_bytes(b"content")
    above, real = bytes(site.source.parent), os.stat

    def stat(what: Any, **more: Any) -> os.stat_result:
        if what == above:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(what, **more)

    monkeypatch.setattr(walk_module.os, "stat", stat)
    done = await site.back_up()
    assert (done.missed.kept, done.scanned.files) == ([(above[1:], "unreadable")], 1)
