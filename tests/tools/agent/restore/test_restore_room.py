"""A restore that does not fit says so before it writes anything."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.agent.conftest import PASSWORD, Site
from tools.agent.restore import restore_room
from tools.agent.restore.restore import prepare_root
from tools.agent.restore.restore_room import check_room
from tools.agent.safeset.entries import wanted_paths
from tools.agent.safeset.unlock import Wanted, unlock
from tools.client.failure import Failure
from tools.client.manifest import Entry, Kind

MIB = 1024 * 1024


async def check(site: Site, monkeypatch: pytest.MonkeyPatch, free_bytes: int, *paths: bytes) -> None:
    prepare_root(site.target)
    unlocked = await unlock(site.agent.session, site.state, Wanted("job", None, 0), PASSWORD)

    def statvfs(target: Any) -> SimpleNamespace:
        assert target == site.target
        return SimpleNamespace(f_bavail=free_bytes, f_frsize=1, f_blocks=1 << 40)

    with monkeypatch.context() as patch:
        patch.setattr(restore_room.os, "statvfs", statvfs)
        await check_room(unlocked, wanted_paths(paths), site.target)


@pytest.fixture
async def stored(site: Site) -> Site:
    """5 MiB of contents: 3 of a file with two names, 2 of a sparse one of 100 MiB."""
    (site.source / "one").write_bytes(os.urandom(3 * MIB))
    os.link(site.source / "one", site.source / "two")
    (site.source / "sparse").write_bytes(os.urandom(2 * MIB))
    os.truncate(site.source / "sparse", 100 * MIB)
    await site.back_up()
    return site


async def test_what_fits_is_begun(stored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await check(stored, monkeypatch, 5 * MIB)


async def test_what_does_not_fit_is_refused_before_anything_is_written(
    stored: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match=r"needs 5\.2 MB, .* has 5\.2 MB free") as caught:
        await check(stored, monkeypatch, 5 * MIB - 1)
    assert caught.value.code == "no_space"
    assert os.listdir(stored.target) == []


async def test_what_is_there_already_needs_no_room(stored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await stored.restore([bytes(stored.source / "one")])
    await check(stored, monkeypatch, 2 * MIB)
    with pytest.raises(Failure, match="needs"):
        await check(stored, monkeypatch, 2 * MIB - 1)


async def test_only_what_is_named_counts(stored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await check(stored, monkeypatch, 2 * MIB, bytes(stored.source / "sparse"))
    with pytest.raises(Failure, match="needs"):
        await check(stored, monkeypatch, 2 * MIB, bytes(stored.source / "two"))


def test_what_lies_on_another_file_system_is_not_counted() -> None:
    """As /home may, where everything is restored to /."""
    root = os.stat("/").st_dev
    assert os.stat("/proc").st_dev != root
    for path, is_on in ((b"proc/x", False), (b"etc/x", True), (b"nowhere at all/x", True)):
        entry = Entry(path, Kind.FILE, 0o600, 0, 0, None, None, 0, 0, None)
        assert restore_room._is_on(root, Path("/"), entry) == is_on
