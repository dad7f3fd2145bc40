"""A start that has only the older one of two journals changes nothing: the disk with the newer one is but away."""

import errno
import os
from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def containers(case: Case) -> list[str]:
    return sorted(str(path) for number in range(3) for path in case.disk(number).glob("containers/*/*"))


def test_a_container_that_it_does_not_know_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, monkeypatch, old_on=1)
    case.take_away(0)
    case.start()
    case.site.begin(case.backed_up)
    record = case.store_on(2)
    case.stop()
    case.bring_back(0)
    case.take_away(1)
    case.lose_lmdb()
    before = containers(case)
    case.restarted()
    assert containers(case) == before
    case.bring_back(1)
    case.start()
    assert not case.is_missing(record)
    assert case.fetch(record) == record
    case.stop()


@pytest.mark.parametrize("name", ["journal", "checkpoints"])
def test_a_lost_disk_that_is_mounted_and_lists_nothing_keeps_no_vault_down(case: Case, name: str) -> None:
    class Unlisted(SystemDoor):
        def listdir(self, path: Path) -> list[str]:
            if path == case.disk(0) / name:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return list(super().listdir(path))

    case.take_away(0)
    case.declare("0")
    case.bring_back(0)
    if name == "checkpoints":
        case.lose_lmdb()
    close_vault(open_vault(case.site.config, case.site.clock, Unlisted()))
