"""The real daemon under a clock that jumps ten years both ways, while it runs and between its starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import MODULES, Site, differences, restored

DAY_SECONDS = 24 * 3600
TEN_YEARS_SECONDS = 3650 * DAY_SECONDS


class Clock:
    """How far the daemon's clock is off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(0)

    def set(self, seconds: int) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(str(seconds), encoding="ascii")
        new.rename(self._path)  # the daemon may look at any time


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setitem(MODULES, "vaultd", "tests.end_to_end.jumping_vault")
    monkeypatch.setenv("JUMPING_CLOCK", str(tmp_path / "clock"))
    return Clock(tmp_path / "clock")


def told_jumps(site: Site) -> list[int]:
    return [line["seconds"] for line in site.log_lines() if line["event"] == "clock jumped"]


def next_safeset(site: Site, tree: Path, number: int) -> None:
    """A run with something new."""
    (tree / f"of run {number}").write_bytes(b"new\n" * number)
    assert site.backup("pc", "all")["safeset"] == number


def restore_with_new(site: Site, tree: Path, computer: str) -> None:
    """A computer whose certificate is of this time signs in and restores the newest."""
    site.register("acme", computer)
    site.grant("acme", "pc", "all", computer)
    target = site.directory / f"restored-{computer}"
    site.restore(computer, "all", target, "--computer", "pc")
    assert differences(tree, restored(target, tree)) == []


def test_nothing_is_lost_when_the_vaults_clock_jumps(clock: Clock, stopped_site: Site, tmp_path: Path) -> None:
    site, tree = stopped_site, tmp_path / "tree"
    tree.mkdir()
    site.start()
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    next_safeset(site, tree, 1)
    clock.set(TEN_YEARS_SECONDS)
    next_safeset(site, tree, 2)
    restore_with_new(site, tree, "ahead")
    assert site.stop() == 0
    clock.set(-TEN_YEARS_SECONDS)
    told = len(told_jumps(site))
    site.start()
    assert abs(told_jumps(site)[told] + 2 * TEN_YEARS_SECONDS) < DAY_SECONDS
    told = len(told_jumps(site))
    next_safeset(site, tree, 3)
    restore_with_new(site, tree, "back")
    site.kill()
    clock.set(0)
    site.start()
    assert abs(told_jumps(site)[told] - TEN_YEARS_SECONDS) < DAY_SECONDS  # nobody knows how long it was down
    assert site.run_operator("clock", "accept").exit_code == 0
    next_safeset(site, tree, 4)
    for computer in ("ahead", "back"):
        target = tmp_path / f"first-{computer}"
        site.grant("acme", "pc", "all", computer)
        site.restore(computer, "all", target, "--safeset", 1, "--computer", "pc")
        assert [path.name for path in restored(target, tree).iterdir()] == ["of run 1"]
    assert site.stop() == 0
    assert site.check().exit_code == 0
