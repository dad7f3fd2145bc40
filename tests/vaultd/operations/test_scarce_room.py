"""A disk, or DIR, with less room than new records need is named to the operator before and while they are refused."""

from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site, make_site
from vaultd.operations.disks import list_disks
from vaultd.operations.vault import close_vault
from vaultd.store.disk_door import SystemDoor

RESERVE = 64 << 20
RECORD = 5 << 20


def told(site: Site, monkeypatch: pytest.MonkeyPatch, free: dict[str, int]) -> list[str]:
    monkeypatch.setattr(SystemDoor, "space", lambda _, path: (1 << 40, free.get(path.name, 1 << 39)))
    return [Path(warning.partition(":")[0]).name for warning in list_disks(site.vault).warnings]


def test_a_place_with_less_room_than_new_records_need_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path, disks=3)
    enough = {"disk-1": 2 * RESERVE + RECORD, "disk-3": RESERVE + RECORD, "index": RESERVE + 8192}
    assert told(site, monkeypatch, enough) == []
    for name in enough:
        assert told(site, monkeypatch, enough | {name: enough[name] - 1}) == [name]
    close_vault(site.vault)


def test_a_disk_that_went_away_is_listed_as_offline_at_once(tmp_path: Path) -> None:
    site = make_site(tmp_path, disks=3)
    (site.config.directory / "disk-3").rename(tmp_path / "away")
    assert [disk.state for disk in list_disks(site.vault).disks] == ["online", "online", "offline"]
    close_vault(site.vault)
