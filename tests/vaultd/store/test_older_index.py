"""An index that comes back from an older copy, after records were dropped and containers moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import KEYRING, flip, make_id, make_record, read
from tests.vaultd.store.kept_house import SIZE, KeptHouse
from vaultd.store.containers.format import container_path
from vaultd.store.errors import StoreError
from vaultd.store.recovery.containers import ContainerRecovery

# In container 1.
FIRST = (1, 2, 3)


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    return KeptHouse(tmp_path)


def test_an_older_index_learns_what_was_dropped_and_moved_since(house: KeptHouse, tmp_path: Path) -> None:
    house.restart()
    house.close()
    shutil.copytree(house.settings.index_path, tmp_path / "older")
    house.reopen()
    house.kill(1, 3, 5)
    assert house.move(1)
    house.remove_files()
    house.close()
    shutil.rmtree(house.settings.index_path)
    shutil.copytree(tmp_path / "older", house.settings.index_path)
    house.reopen()
    house.require()
    assert house.numbers() == [2, 3, 4]


def test_an_older_index_drops_what_led_elsewhere_then(house: KeptHouse, tmp_path: Path) -> None:
    """Moved, and dropped at its new place, since that index was copied; and started more than once."""
    house.restart()
    house.close()
    shutil.copytree(house.settings.index_path, tmp_path / "older")
    house.reopen()
    assert house.move(1)
    house.kill(2)
    house.close()
    shutil.rmtree(house.settings.index_path)
    shutil.copytree(tmp_path / "older", house.settings.index_path)
    for start in (house.reopen, house.restart, house.restart):
        start()
        house.require()


def test_an_older_index_drops_what_lay_elsewhere_when_it_was_copied(house: KeptHouse, tmp_path: Path) -> None:
    """Another record took its place since, and was dropped; the one that the index leads to reads well again."""
    house.restart()
    house.close()
    shutil.copytree(house.settings.index_path, tmp_path / "older")
    house.reopen()
    path = container_path(house.settings.disk_paths[0], 1)
    at = path.read_bytes().index(make_record(1, SIZE)) + 500
    flip(path, at)
    with pytest.raises(StoreError):
        read(house.store, 1)
    house.store.commit()
    house.add(1)
    flip(path, at)
    house.kill(1)
    house.close()
    shutil.rmtree(house.settings.index_path)
    shutil.copytree(tmp_path / "older", house.settings.index_path)
    for start in (house.reopen, house.restart):
        start()
        house.require()


def test_a_row_of_an_older_index_into_a_moved_container_is_missing_until_its_copy_is_read(
    house: KeptHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start cannot read the copy, a later one can."""
    house.restart()
    house.close()
    shutil.copytree(house.settings.index_path, tmp_path / "older")
    house.reopen()
    assert house.move(1)
    house.close()
    shutil.rmtree(house.settings.index_path)
    shutil.copytree(tmp_path / "older", house.settings.index_path)
    with monkeypatch.context() as patch:
        patch.setattr(ContainerRecovery, "_recover", lambda _, row: row)  # as where its disk is away
        house.reopen()
        assert house.store.missing(KEYRING, [make_id(seed) for seed in FIRST]) == [True] * 3
        house.close()
    for start in (house.reopen, house.restart):
        start()
        house.require()
