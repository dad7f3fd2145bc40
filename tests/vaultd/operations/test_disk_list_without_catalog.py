"""The list of disks is known before the store is opened, also where the catalog is lost or made anew: a disk that is
only away is not replaced, and one that is lost is neither used nor written to.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from vaultd.errors import Internal, Unavailable, VaultError
from vaultd.operations.rebuild import rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.reading_progress import tell_nobody

Way = Callable[[Case], None]


def nothing(case: Case) -> None:
    """A plain start."""


def lose_catalog(case: Case) -> None:
    shutil.rmtree(case.site.config.directory / "catalog")


def lose_all_but_the_journal(case: Case) -> None:
    lose_catalog(case)
    for path in case.root.rglob("*.checkpoint"):
        path.unlink()


def damage_catalog(case: Case) -> None:
    path = case.site.config.directory / "catalog" / "data.mdb"
    path.write_bytes(b"nonsense" * (path.stat().st_size // 8))


def rebuild(case: Case) -> None:
    rebuild_vault(case.site.config, case.site.clock, SystemDoor(), tell_nobody, index_only=False)


every_way = pytest.mark.parametrize("way", [nothing, lose_catalog, lose_all_but_the_journal, damage_catalog, rebuild])


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


@every_way
def test_a_new_disk_takes_the_place_of_the_lost_one_and_of_no_other(case: Case, way: Way) -> None:
    case.start()
    stored = case.store_on(1)
    case.stop()
    case.monkeypatch.undo()
    case.take_away(1)
    case.set_paths(0, 2)
    case.restarted()
    case.take_away(2)
    case.declare("2")
    (case.disk(2) / "disk.new").touch()
    if way is rebuild:
        with pytest.raises(Unavailable, match="a disk is offline"):
            way(case)
    else:
        way(case)
    case.start()
    case.stop()
    case.bring_back(1)
    case.set_paths(0, 1, 2)
    case.start()
    assert bytes(case.fetch(stored)) == stored
    case.stop()


@every_way
def test_a_lost_disk_may_be_mounted_beside_its_successor(case: Case, way: Way) -> None:
    case.replace(1)
    config = case.site.config
    case.site.config = dataclasses.replace(config, disks=(*config.disks, case.root / "away-1"))
    way(case)
    case.start()
    case.stop()


@every_way
def test_a_lost_disk_is_not_written_to(case: Case, way: Way) -> None:
    case.take_away(1)
    case.declare("1")
    case.restarted()
    case.start()
    case.store_on(0)
    case.stop()
    case.bring_back(1)
    before = journal_of(case.disk(1))
    way(case)
    case.start()
    case.stop()
    assert journal_of(case.disk(1)) == before


def journal_of(disk: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (disk / "journal").iterdir()}


def mark(case: Case, name: str) -> Path:
    """An empty directory beside the three disks."""
    new = case.site.config.directory / name
    new.mkdir()
    (new / "disk.new").touch()
    paths = [*map(case.disk, range(3)), new]
    case.site.config = dataclasses.replace(case.site.config, disks=paths)
    return new


def lose_both(case: Case) -> None:
    case.lose_lmdb()


@pytest.mark.parametrize("way", [lose_both, rebuild])
def test_one_that_is_away_is_not_replaced_on_the_word_of_a_stale_disk(case: Case, way: Way) -> None:
    """One that was declared lost is mounted again: its own journal does not say so, and the newest one is away."""
    case.take_away(0)
    case.declare("0")
    case.start()
    case.site.administrator("later")
    case.stop()
    case.bring_back(0)
    case.take_away(1)
    new = mark(case, "disk-9")
    case.lose_lmdb()
    with pytest.raises(VaultError) as refused:
        case.start() if way is lose_both else way(case)
    said = f"{refused.value.message} {refused.value.__cause__}"
    assert "disk-9 cannot become a disk: index and catalog are lost" in said
    assert [path.name for path in new.iterdir()] == ["disk.new"]
    case.bring_back(1)
    case.start()
    with case.site.vault.catalog.read() as view:
        assert view.get("account_names", b"later") is not None
    assert sorted(case.states(), key=str) == [(0, "lost"), (0, "online"), (1, "online"), (2, "online")]
    assert not (new / "disk.new").exists()
    case.stop()


def test_one_that_nobody_declared_lost_is_replaced_after_the_word(case: Case) -> None:
    """The way out that the refusal names."""
    case.take_away(1)
    case.lose_lmdb()
    (case.disk(1) / "disk.new").touch()
    with pytest.raises(Internal, match="remove disk.new and start, `vaultctl disk lost DISK`, then mark it again"):
        case.start()
    (case.disk(1) / "disk.new").unlink()
    case.declare("1")
    (case.disk(1) / "disk.new").touch()
    case.start()
    assert sorted(case.states(), key=str) == [(0, "online"), (1, "lost"), (1, "online"), (2, "online")]
    case.stop()
