"""What becomes of a tortured vault: one that failed stays where it is, all others go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Done, NotReadyError
from tests.torture import kill_rounds
from tests.torture.judge import Judge
from tests.torture.kill_rounds import KillFigures, Plan, kill_often
from tests.torture.trees import make_tree
from tests.vaultd.store.fakes import create, make_record, make_settings, stored


class ModelSite:
    """Its store is a real one that nobody writes to."""

    def __init__(self, directory: Path) -> None:
        self.vault = directory / "disk0"
        self.disks = [self.vault]
        self.starts, self.last_start = 0, 1 << 30

    def start(self) -> None:
        self.starts += 1
        if self.starts > self.last_start:
            raise NotReadyError("the vault ended: no space left")

    def kill(self) -> int:
        return -9

    def stop(self) -> int:
        return 0

    def check(self) -> Done:
        return Done(0, [{"findings": []}], "")


class ModelTortured:
    """Without agents, so that every kill hits the vault."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.site = ModelSite(directory)
        self.jobs: list[str] = []
        self.trees: list[Path] = []
        self.agents: list[Any] = []
        self.are_ended = False

    def put_back(self) -> None:
        raise AssertionError("one vault is enough here")

    def end_processes(self) -> None:
        self.are_ended = True

    def remove(self) -> None:
        self.directory.rename(self.directory.with_name("removed"))


@pytest.fixture
def tortured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelTortured:
    directory = tmp_path / "tortured"
    directory.mkdir()
    store = create(make_settings(directory))
    store.append(0, [stored(make_record(1))])
    store.commit()
    store.close()
    made = ModelTortured(directory)
    monkeypatch.setattr(kill_rounds, "TorturedSite", lambda *rest: made)
    return made


def tried(kills: int = 2) -> KillFigures:
    return kill_often(Plan(kills, seed=5, delay_ms_max=1.0), lambda figures: None)


def test_the_directory_of_good_rounds_is_removed(tortured: ModelTortured) -> None:
    figures = tried()
    assert figures.verdict.is_clean
    assert (len(figures.kills), figures.kept) == (2, None)
    assert tortured.are_ended
    assert not tortured.directory.exists()


def test_a_vault_that_does_not_come_up_is_a_loss_and_is_kept(tortured: ModelTortured) -> None:
    tortured.site.last_start = 1
    figures = tried()
    expected = f"seed 5, round 1, {tortured.directory}: it did not come up: the vault ended: no space left"
    assert figures.verdict.losses == [expected]
    assert (len(figures.kills), figures.kept) == (1, tortured.directory)
    assert tortured.are_ended
    assert tortured.directory.exists()


@pytest.mark.parametrize("what", ["losses", "resent", "other"])
def test_a_vault_that_failed_is_kept(tortured: ModelTortured, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def find(judge: Judge, where: str, directory: Path) -> None:
        getattr(judge.verdict, what).append(f"{where}: something")

    monkeypatch.setattr(Judge, "look_at_all", find)
    figures = tried()
    assert [str(tortured.directory) in one for one in getattr(figures.verdict, what)] == [True]
    assert figures.kept == tortured.directory
    assert tortured.directory.exists()


def test_a_restore_that_fails_is_a_loss(tortured: ModelTortured, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(*rest: object) -> None:
        raise AssertionError("chunk 12 is not there")

    monkeypatch.setattr(ModelSite, "restore", restore, raising=False)
    tortured.jobs, tortured.trees = ["job-0"], [tortured.directory / "tree"]
    make_tree(tortured.trees[0], seed=5)
    figures = tried()
    assert ["job-0 does not restore: chunk 12 is not there" in loss for loss in figures.verdict.losses] == [True]
    assert figures.restores == 0


def test_an_error_of_the_torture_itself_is_told_and_keeps_the_vault(
    tortured: ModelTortured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(site: ModelSite) -> int:
        raise TimeoutError("it does not end")

    monkeypatch.setattr(ModelSite, "stop", stop)
    figures = tried()
    assert ["TimeoutError: it does not end" in one for one in figures.verdict.other] == [True]
    assert figures.kept == tortured.directory


def test_a_torture_that_is_broken_off_leaves_nothing(tortured: ModelTortured) -> None:
    def break_off(figures: KillFigures) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kill_often(Plan(2, seed=5, delay_ms_max=1.0), break_off)
    assert tortured.are_ended
    assert not tortured.directory.exists()
