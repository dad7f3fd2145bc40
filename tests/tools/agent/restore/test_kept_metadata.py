"""Which metadata a restore sets on what is there already, and what it tells of the rest."""

import os

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.restore import metadata
from tools.agent.restore.survey import Overwrite


@pytest.mark.parametrize("changed", ["mode", "owner", "time", "nothing"])
async def test_the_same_content_with_other_metadata_stays_and_is_told(site: Site, changed: str) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    await site.restore()
    there = site.restored_source / "file"
    if changed == "mode":
        there.chmod(0o666)
    elif changed == "owner":
        os.chown(there, 4711, 4711)
    elif changed == "time":
        os.utime(there, ns=(1, 1))
    before = there.stat()
    result = await site.restore()
    told = [] if changed == "nothing" else [(bytes(site.source / "file")[1:], "exists with other metadata")]
    assert (result.files, result.missed.kept) == (0, told)
    after = there.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)


async def test_who_cannot_give_files_away_is_told_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rights of root a restore keeps the own owner, and no set-id bits of others."""
    monkeypatch.setattr(metadata, "_IS_ROOT", False)
    for name, owner in (("mine", 0), ("theirs", 4711)):
        (site.source / name).write_bytes(b"content")
        os.chown(site.source / name, owner, owner)
    await site.back_up()
    result = await site.restore()
    assert result.files == 2
    assert result.missed.kept == [(bytes(site.source / "theirs")[1:], "metadata not set")]


@pytest.mark.parametrize(("overwrite", "is_kept"), [(Overwrite.newer, True), (Overwrite.always, False)])
async def test_a_directory_that_is_newer_keeps_its_metadata_under_that_rule(
    site: Site, overwrite: Overwrite, is_kept: bool
) -> None:
    (site.source / "directory").mkdir(mode=0o755)
    (site.source / "directory" / "file").write_bytes(b"content")
    await site.back_up()
    await site.restore()
    there = site.restored_source / "directory"
    there.chmod(0o700)
    os.utime(there)
    await site.restore(overwrite=overwrite)
    assert (there.stat().st_mode & 0o777 == 0o700) is is_kept


@pytest.mark.parametrize("overwrite", list(Overwrite))
async def test_directories_above_an_included_path_stay_as_they_are(site: Site, overwrite: Overwrite) -> None:
    """They are no part of what the job backs up; where they have to be made they get their metadata."""
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    await site.restore()
    above = site.restored_source.parent
    assert above.stat().st_mode == site.source.parent.stat().st_mode
    above.chmod(0o711)
    os.utime(above, ns=(7, 7))
    await site.restore(overwrite=overwrite)
    assert (above.stat().st_mode & 0o777, above.stat().st_mtime_ns) == (0o711, 7)


async def test_a_second_restore_says_again_what_was_left_out(site: Site) -> None:
    """Else the advice to run a restore again would hide it."""
    (site.source / "program").write_bytes(b"content")
    os.chmod(site.source / "program", 0o4755)
    await site.back_up()
    left_out = "set-user-id, set-group-id or capabilities left out (--privileged)"
    for _ in range(2):
        restored = await site.restore()
        assert restored.missed.kept == [(bytes(site.source / "program")[1:], left_out)]


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.changed])
@pytest.mark.parametrize("change", ["another", "more", "less", "none"])
async def test_other_attributes_stay_and_are_told(site: Site, change: str, overwrite: Overwrite) -> None:
    (site.source / "file").write_bytes(b"content")
    for name in ("user.a", "user.b"):
        os.setxattr(site.source / "file", name, b"1")
    await site.back_up()
    await site.restore()
    there = site.restored_source / "file"
    if change == "another":
        os.setxattr(there, "user.a", b"2")
    elif change == "more":
        os.setxattr(there, "user.c", b"1")
    elif change == "less":
        os.removexattr(there, "user.b")
    before = {name: os.getxattr(there, name) for name in os.listxattr(there)}
    restored = await site.restore(overwrite=overwrite)
    told = [] if change == "none" else [(bytes(site.source / "file")[1:], "exists with other metadata")]
    assert restored.missed.kept == told
    assert {name: os.getxattr(there, name) for name in os.listxattr(there)} == before


async def test_a_link_with_another_time_stays_and_is_told(site: Site) -> None:
    (site.source / "link").symlink_to("nowhere")
    await site.back_up()
    await site.restore()
    os.utime(site.restored_source / "link", ns=(1, 1), follow_symlinks=False)
    restored = await site.restore()
    assert restored.missed.kept == [(bytes(site.source / "link")[1:], "exists with other metadata")]
