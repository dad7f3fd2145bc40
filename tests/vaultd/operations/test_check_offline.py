"""`vaultd check` while a disk is away: what lies there is out of reach and not damaged."""

from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import make_site
from tests.vaultd.operations.test_safesets import commit_leaf
from vaultd.operations import disks, safesets, upload
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault
from vaultd.store.disk_door import SystemDoor


def test_a_safeset_on_a_disk_that_is_away_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (safesets, upload):
        monkeypatch.setattr(module, "home_disk_number", lambda *_: 1)
    site = make_site(tmp_path)
    commit_leaf(site, site.ready(site.administrator("one")))
    close_vault(site.vault)
    (site.config.directory / "disk-2").rename(tmp_path / "away")
    report = check_vault(site.config, SystemDoor(), read_data=False)
    assert not report.is_damaged
    assert any("cannot be walked to its end" in finding.sentence for finding in report.findings)


@pytest.mark.parametrize("is_lost", [False, True])
def test_each_disk_and_each_safeset_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool
) -> None:
    for module in (safesets, upload):
        monkeypatch.setattr(module, "home_disk_number", lambda *_: 1)
    site = make_site(tmp_path)
    commit_leaf(site, site.ready(site.administrator("acme")))
    disk = site.config.directory / "disk-2"
    disk.rename(tmp_path / "away")
    if is_lost:
        site.reopen()
        disks.declare_lost(site.vault, site.operator, "1")
    close_vault(site.vault)
    found = check_vault(site.config, SystemDoor(), read_data=False).findings
    fate = "1 container lay on it" if is_lost else "1 container on it was not checked"
    assert [fate in one.sentence for one in found if one.place == str(disk)] == [True]
    assert not any(one.place.startswith("container") for one in found)
    assert [one.place for one in found if "safeset" in one.place] == [
        "account acme, computer laptop, job home, safeset 1"
    ]
