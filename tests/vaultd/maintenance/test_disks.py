"""A disk that goes away while the daemon runs is told once in the log, and in the metric."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio

from tests.vaultd.operations.small_site import Site, make_site
from vaultd import metrics
from vaultd.errors import Unavailable
from vaultd.maintenance import disks
from vaultd.operations.disks import declare_lost, list_disks, take_back
from vaultd.operations.vault import close_vault, open_vault, write_checkpoint
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.erase_keys.erase_keys import EraseKeys


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields["place"]))

    info = warning = error


def gauge() -> float | None:
    return metrics.REGISTRY.get_sample_value("vaultd_disks_offline")


async def test_it_is_told_when_it_goes_and_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path, disks=3)
    told = Told()
    monkeypatch.setattr(disks, "log", told)
    third = site.config.directory / "disk-3"
    away = await disks.look_once(site.vault, set())
    assert (away, told.events) == (set(), [])
    shutil.move(third, tmp_path / "away")
    for _ in range(2):
        away = await disks.look_once(site.vault, away)
        assert gauge() == 1
    assert told.events == [("disk offline", str(third))]
    shutil.move(tmp_path / "away", third)
    await disks.look_once(site.vault, away)
    assert gauge() == 0
    assert told.events[1:] == [("disk not offline any more", str(third))]
    close_vault(site.vault)


async def test_a_disk_that_was_declared_lost_is_not_told_as_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that only containers tell of, which has neither number nor path."""
    site = make_site(tmp_path)
    second = site.config.disks[1]
    close_vault(site.vault)
    shutil.move(second, tmp_path / "away")
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    site.vault.store.know_disks([*site.vault.store.disks.known, KnownDisk(b"e" * 16, None, False, "")])
    told = Told()
    monkeypatch.setattr(disks, "log", told)
    unnumbered = "65" * 16
    places = {str(second), f"disk {unnumbered}"}
    away = set(site.vault.store.disks.paths_away)
    assert away == places
    for name in ("1", unnumbered):
        declare_lost(site.vault, site.operator, name)
    away = await disks.look_once(site.vault, away)
    assert sorted(told.events) == [("disk declared lost", place) for place in sorted(places)]
    take_back(site.vault, site.operator, "1")
    await disks.look_once(site.vault, away)
    assert told.events[2:] == [("disk offline", str(second))]
    close_vault(site.vault)


def names_of_keys(disk: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in (disk / "erase-keys").iterdir()}


@pytest.mark.parametrize("seen", ["never", "by a look", "by a checkpoint"])
async def test_keys_made_while_a_disk_was_away_are_completed_when_it_is_back(tmp_path: Path, seen: str) -> None:
    """Also where it was away between two looks only; until then the list of disks tells of them."""
    site = make_site(tmp_path)
    first, second = site.config.disks
    away = await disks.look_once(site.vault, set())
    (second / "disk.id").rename(tmp_path / "umounted")
    if seen == "by a look":
        away = await disks.look_once(site.vault, away)
    site.ready()
    if seen == "by a checkpoint":
        write_checkpoint(site.vault)
    assert (len(names_of_keys(first)), names_of_keys(second)) == (2, set())
    (tmp_path / "umounted").rename(second / "disk.id")
    (warning,) = list_disks(site.vault).warnings
    assert warning.startswith(f"{second}: 2 erase keys are on the other disk only")
    await disks.look_once(site.vault, away)
    assert names_of_keys(second) == names_of_keys(first)
    assert list_disks(site.vault).warnings == []
    close_vault(site.vault)


async def test_keys_wait_for_the_disk_and_are_told_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path)
    first, second = site.config.disks
    told = Told()
    monkeypatch.setattr(disks, "log", told)
    administrator = site.administrator()
    site.ready(administrator, "earlier")
    (second / "disk.id").rename(tmp_path / "umounted")
    site.ready(administrator)
    before = sorted((first / "erase-keys").iterdir())
    away: set[str] = set()
    for _ in range(3):
        away = await disks.look_once(site.vault, away)
    assert told.events == [("disk offline", str(second))]
    assert sorted((first / "erase-keys").iterdir()) == before
    assert any("2 erase keys are on the other disk only" in warning for warning in list_disks(site.vault).warnings)
    (tmp_path / "umounted").rename(second / "disk.id")
    site.reopen()
    assert names_of_keys(second) == names_of_keys(first)
    assert list_disks(site.vault).warnings == []
    close_vault(site.vault)


async def test_one_that_cannot_be_written_is_told_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path)
    second = site.config.disks[1]
    told = Told()
    monkeypatch.setattr(disks, "log", told)
    (second / "disk.id").rename(tmp_path / "umounted")
    site.ready()
    (tmp_path / "umounted").rename(second / "disk.id")
    (second / "erase-keys").rename(tmp_path / "keys")
    (second / "erase-keys").write_bytes(b"no directory: nothing can be put into it")
    for _ in range(3):
        await disks.look_once(site.vault, set())
    assert [event for event, _ in told.events] == ["erase key"] * 3  # the directory, and each of the keys, once
    (warning,) = list_disks(site.vault).warnings
    assert warning.startswith(f"{second}: 2 erase keys are on the other disk only")
    close_vault(site.vault)


def refuse_catalog(site: Site, patched: pytest.MonkeyPatch) -> str:
    def refuse() -> object:
        raise Unavailable("the catalog cannot be read now: MDB_READERS_FULL")

    patched.setattr(site.vault.catalog, "read", refuse)
    return "erase-keys"


def refuse_file(site: Site, patched: pytest.MonkeyPatch) -> str:
    """In the middle, where nothing of the kind is expected."""
    path = str(site.config.disks[0] / "erase-keys")

    def refuse(*_: object) -> object:
        raise OSError(errno.EIO, "told to fail", path)

    patched.setattr(EraseKeys, "_mend_key", refuse)
    return path


@pytest.mark.parametrize("refuse", [refuse_catalog, refuse_file])
async def test_an_error_while_keys_are_completed_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[Site, pytest.MonkeyPatch], str]
) -> None:
    site = make_site(tmp_path)
    first, second = site.config.disks
    told = Told()
    monkeypatch.setattr(disks, "log", told)
    (second / "disk.id").rename(tmp_path / "umounted")
    site.ready()
    (tmp_path / "umounted").rename(second / "disk.id")
    with monkeypatch.context() as patched:
        place = refuse(site, patched)
        for _ in range(3):
            await disks.look_once(site.vault, set())
        assert told.events == [("erase key", place)]
        (warning,) = list_disks(site.vault).warnings
        assert warning.startswith(f"{second}: 2 erase keys are on the other disk only")
    assert names_of_keys(second) == set()
    await disks.look_once(site.vault, set())
    assert names_of_keys(second) == names_of_keys(first)
    assert list_disks(site.vault).warnings == []
    close_vault(site.vault)


async def test_a_look_that_fails_ends_nothing_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path)
    looks, is_well = [], trio.Event()

    async def look(*_: object) -> set[str]:
        looks.append(1)
        await trio.lowlevel.checkpoint()
        if len(looks) < 4:
            raise OSError(errno.EIO, "told to fail", "disk-1")
        is_well.set()
        return set()

    monkeypatch.setattr(disks, "look_once", look)
    monkeypatch.setattr(disks, "LOOK_SECONDS", 0)
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disks.watch_disks, site.vault)
            await is_well.wait()
            nursery.cancel_scope.cancel()
    ((event, problem),) = [(line["event"], line["problem"]) for line in logs]
    assert event == "disks not looked after"
    assert problem.startswith("OSError: [Errno 5] told to fail: 'disk-1'; it is tried again")
    close_vault(site.vault)


def test_the_look_comes_within_a_minute() -> None:
    assert disks.LOOK_SECONDS <= 60
