"""One of the first two disks is away: it is said wherever an operator looks, and another one can take its place."""

import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import Site
from vaultd import metrics
from vaultd.daemon import serve
from vaultd.errors import Unavailable
from vaultd.operations import status
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.opening import lock_vault
from vaultd.store.errors import InUse


def lose_second_disk(site: Site) -> Path:
    close_vault(site.vault)
    lost = site.config.directory / "disk-2"
    shutil.rmtree(lost)
    lost.mkdir()
    return lost


def gauge() -> float | None:
    return metrics.REGISTRY.get_sample_value("vaultd_disks_offline")


def test_a_disk_that_is_away_is_found_shown_counted_and_logged(site: Site) -> None:
    lost = lose_second_disk(site)
    checked = check_vault(site.config, SystemDoor(), read_data=False).findings
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    for findings in (checked, site.vault.recovery.findings):
        (sentence,) = [one.sentence for one in findings if one.place == str(lost)]
        assert "offline" in sentence
        assert "journal, checkpoints and erase keys are on one disk only" in sentence
    assert status.vault_status(site.vault, "1", 0).offline_disks == [str(lost)]
    serve._tell_recovery(site.vault, 0.0)
    assert gauge() == 1


def test_a_start_without_any_disk_with_a_journal_names_them(site: Site) -> None:
    lost = lose_second_disk(site)
    first = site.config.directory / "disk-1"
    first.rename(first.with_name("elsewhere"))
    with pytest.raises(Unavailable) as told:
        open_vault(site.config, site.clock, SystemDoor())
    assert str(lost) in told.value.message
    assert str(first) in told.value.message
    first.with_name("elsewhere").rename(first)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_a_new_disk_is_locked_from_the_start_on_that_makes_it_one(site: Site, tmp_path: Path) -> None:
    lost = lose_second_disk(site)
    (lost / "disk.new").touch()
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    with pytest.raises(InUse, match=f"{lost} is in use by another vaultd"):
        lock_vault(tmp_path, [lost])


def test_a_marked_directory_takes_its_place_and_gets_the_copies(site: Site) -> None:
    """As docs/operations.md says."""
    backed_up = site.ready()
    record = backed_up.sealer.record(DATA, b"x" * 1000)
    site.upload(backed_up, record)
    lost = lose_second_disk(site)
    (lost / "disk.new").touch()
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    first = site.config.directory / "disk-1"
    for name in ("journal", "erase-keys"):
        held = [{path.name: path.read_bytes() for path in (disk / name).iterdir()} for disk in (first, lost)]
        assert held[0] == held[1] != {}
    serve._tell_recovery(site.vault, 0.0)
    assert gauge() == 0
    site.reopen()
    site.administrator("later")
    close_vault(site.vault)
    assert sorted(path.name for path in lost.iterdir()) == sorted(path.name for path in first.iterdir())
    assert check_vault(site.config, SystemDoor(), read_data=True).findings == []
    site.vault = open_vault(site.config, site.clock, SystemDoor())
