"""A disk that goes away while the daemon runs is told once in the log, and in the metric."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.vaultd.operations.small_site import make_site
from vaultd import metrics
from vaultd.maintenance import disks
from vaultd.operations.vault import close_vault


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields["place"]))

    info = error


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


def test_the_look_comes_within_a_minute() -> None:
    assert disks.LOOK_SECONDS <= 60
