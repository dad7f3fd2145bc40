"""The check without a catalog knows the list of disks as a start does: from the disks themselves."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from vaultd.operations.check import check_vault
from vaultd.store.disk_door import SystemDoor


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def lose_catalog(case: Case) -> None:
    shutil.rmtree(case.site.config.directory / "catalog")


def damage_catalog(case: Case) -> None:
    path = case.site.config.directory / "catalog" / "data.mdb"
    path.write_bytes(b"nonsense" * (path.stat().st_size // 8))


def keep_catalog(case: Case) -> None:
    """As it is."""


@pytest.mark.parametrize("way", [keep_catalog, lose_catalog, damage_catalog])
def test_a_lost_disk_that_is_mounted_again_is_named_as_by_a_start(case: Case, way: Callable[[Case], None]) -> None:
    case.take_away(2)
    case.declare("2")
    case.bring_back(2)
    way(case)
    before = {path: path.read_bytes() for path in case.root.rglob("*") if path.is_file() and path.name != "lock.mdb"}
    report = check_vault(case.site.config, SystemDoor(), read_data=False)
    after = {path: path.read_bytes() for path in case.root.rglob("*") if path.is_file() and path.name != "lock.mdb"}
    assert before == after
    said = [one.sentence for one in report.findings if one.place == str(case.disk(2))]
    case.start()
    started = [one.sentence for one in case.site.vault.recovery.findings if one.place == str(case.disk(2))]
    case.stop()
    (sentence,) = started
    assert "which was declared lost" in sentence
    assert [one.startswith(sentence) for one in said] == [True]  # the check has counted what lies there besides
