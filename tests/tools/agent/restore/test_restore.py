"""Restores of parts, and over what is there: what directories get and what is told of metadata."""

import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.agent.restore import restore as module
from tools.agent.restore import target, write_tree
from tools.agent.restore.restore import prepare_root
from tools.agent.restore.survey import Overwrite
from tools.agent.safeset import entries as entries_module
from tools.agent.safeset.entries import Damage, paths_above
from tools.agent.safeset.unlock import Unlocked
from tools.client.failure import Failure, describe
from tools.client.manifest import Entry


def described(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns


@pytest.fixture
def private(site: Site) -> Path:
    """A file that all may read, in a directory that nobody else may enter."""
    directory = site.source / "private" / "deeper"
    directory.mkdir(parents=True)
    for name in ("a", "b"):
        (directory / name).mkdir()
        (directory / name / "file").write_bytes(b"content")
    os.utime(directory, ns=(1, 111_222_333))
    (site.source / "private").chmod(0o710)
    directory.chmod(0o500)
    os.utime(site.source / "private", ns=(1, 444_555_666))
    return site.source / "private"


async def test_a_part_comes_with_the_metadata_of_the_directories_above_it(site: Site, private: Path) -> None:
    await site.back_up()
    paths = [bytes(private / "deeper" / name / "file") for name in ("a", "b")]
    restored = await site.restore(paths)
    assert (restored.files, restored.missed.kept) == (2, [])
    for path in (private, private / "deeper", private / "deeper" / "a", private / "deeper" / "b", site.source):
        assert described(site.target / path.relative_to("/")) == described(path)


async def test_directories_above_that_are_there_stay_as_they_are(site: Site, private: Path) -> None:
    await site.back_up()
    there = site.target / private.relative_to("/")
    there.mkdir(parents=True)
    there.chmod(0o701)
    await site.restore([bytes(private / "deeper")], overwrite=Overwrite.always)
    assert stat.S_IMODE(there.stat().st_mode) == 0o701
    assert described(there / "deeper") == described(private / "deeper")


async def test_directories_above_whose_entries_are_damaged_stay_closed(
    site: Site, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.back_up()

    async def damaged(unlocked: Unlocked, path: bytes, damage: Damage, also: Any) -> AsyncGenerator[list[Entry]]:
        damage["a block is damaged"] = None
        async for entries in entries_module.walk_safeset(unlocked, path, damage):
            yield entries

    monkeypatch.setattr(module, "walk_safeset", damaged)
    restored = await site.restore([bytes(private / "deeper" / "a")])
    assert (restored.files, restored.manifest_damage) == (1, {"a block is damaged": None})
    assert stat.S_IMODE((site.target / private.relative_to("/")).stat().st_mode) == 0o700


async def test_a_path_that_is_not_there_makes_no_directories(site: Site, private: Path) -> None:
    await site.back_up()
    restored = await site.restore([bytes(private / "deeper" / "a"), b"/nowhere/at/all"])
    assert restored.missed.kept == [(b"nowhere/at/all", "not in the safeset")]
    assert not (site.target / "nowhere").exists()


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([b"/no\\where"], r"/no\\where is not in the safeset"),
        ([b"/none", b"/nowhere"], "none of the 2 paths is in the safeset, the first one is /none"),
    ],
    ids=["one", "two"],
)
async def test_where_nothing_is_found_a_path_is_named(site: Site, paths: list[bytes], told: str) -> None:
    await site.back_up()
    with pytest.raises((Failure, BaseExceptionGroup)) as refused:
        await site.restore(paths)
    failure = describe(refused.value)
    assert (failure.exit_code, failure.message, "--safeset N" in failure.hint) == (4, told, True)


def test_paths_above() -> None:
    assert paths_above(b"") == []
    assert paths_above(b"a") == []
    assert paths_above(b"a/b/c") == [b"a", b"a/b"]


@pytest.mark.parametrize("overwrite", [Overwrite.changed, Overwrite.newer])
@pytest.mark.parametrize("changed", ["mode", "owner", "nothing"])
async def test_what_counts_as_unchanged_and_has_another_mode_or_owner_is_told(
    site: Site, overwrite: Overwrite, changed: str
) -> None:
    (site.source / "key").write_bytes(b"content")
    (site.source / "key").chmod(0o600)
    await site.back_up()
    await site.restore()
    there = site.restored_source / "key"
    if changed == "mode":
        there.chmod(0o666)
    elif changed == "owner":
        os.chown(there, 4711, 4711)
    before = described(there)
    restored = await site.restore(overwrite=overwrite)
    told = [] if changed == "nothing" else [(bytes(site.source / "key")[1:], "exists with other metadata")]
    assert (restored.files, restored.missed.kept, described(there)) == (0, told, before)


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.newer])
@pytest.mark.parametrize("changed", ["mode", "owner", "nothing"])
async def test_a_directory_that_stays_with_another_mode_or_owner_is_told(
    site: Site, overwrite: Overwrite, changed: str
) -> None:
    (site.source / "private").mkdir(mode=0o700)
    (site.source / "private" / "file").write_bytes(b"content")
    await site.back_up()
    await site.restore()
    there = site.restored_source / "private"
    if changed == "mode":
        there.chmod(0o777)
    elif changed == "owner":
        os.chown(there, 4711, 4711)
    before = described(there)
    restored = await site.restore(overwrite=overwrite)
    told = [] if changed == "nothing" else [(bytes(site.source / "private")[1:], "exists with other metadata")]
    assert (restored.missed.kept, described(there)) == (told, before)


@pytest.mark.parametrize("is_marked", [True, False])
async def test_directories_that_a_killed_restore_left_closed_are_finished_or_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_marked: bool
) -> None:
    """Where the file system takes no marks they are told, and `changed` sets them."""
    directory = site.source / "alice"
    directory.mkdir(mode=0o755)
    (directory / "file").write_bytes(b"content")
    await site.back_up()
    with monkeypatch.context() as killed:
        killed.setattr(write_tree.TreeWriter, "_leave", lambda self, entry: lambda descriptor: None)
        if not is_marked:
            killed.setattr(target, "mark_unfinished", lambda descriptor: None)
        await site.restore()
    restored = await site.restore()
    told = [(bytes(path)[1:], "exists with other metadata") for path in (site.source, directory)]
    assert restored.missed.kept == ([] if is_marked else told)
    restored = await site.restore(overwrite=Overwrite.changed)
    assert (restored.files, restored.missed.kept) == (0, [])
    assert differences(site.source, site.restored_source) == ""
    assert not [name for path in site.target.rglob("*") for name in os.listxattr(path, follow_symlinks=False)]


async def test_a_mark_of_somebody_else_is_none(site: Site) -> None:
    """Who may write into the target must not choose what gets another owner or mode."""
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    await site.restore()
    os.chown(site.restored_source, 4711, 4711)
    os.chmod(site.restored_source, 0o5770)
    restored = await site.restore()
    assert restored.missed.kept == [(bytes(site.source)[1:], "exists with other metadata")]
    status = site.restored_source.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o5770, 4711)


@pytest.mark.parametrize("overwrite", list(Overwrite))
async def test_what_a_second_restore_brings_leaves_the_times_of_directories(site: Site, overwrite: Overwrite) -> None:
    """As after a full disk, or when a disk of the vault is back."""
    for name in ("here", "missing"):
        (site.source / name).write_bytes(b"content")
    os.utime(site.source, ns=(1, 111_222_333))
    await site.back_up()
    await site.restore()
    (site.restored_source / "missing").unlink()
    os.utime(site.restored_source, ns=(1, 111_222_333))
    restored = await site.restore(overwrite=overwrite)
    assert restored.missed.kept == []
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize("umask", [0, 0o077])
def test_a_new_target_is_for_its_user_alone_in_the_service_and_without_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "there").mkdir(mode=0o755)
        os.chmod(tmp_path / "there", 0o755)
        prepare_root(tmp_path / "there/new/target")
        prepare_root(tmp_path / "there")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("there", "there/new", "there/new/target")]
    assert modes == [0o755, 0o700, 0o700]
