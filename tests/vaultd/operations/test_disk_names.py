"""By which name an operator means which disk, where two had one number and where one has none."""

from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import HERE, Case
from vaultd.errors import Conflict, NotFound
from vaultd.operations import disks
from vaultd.store.disks.known_disks import KnownDisk


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def test_a_disk_without_a_number_has_its_id_for_a_name_only(case: Case) -> None:
    case.start()
    store = case.site.vault.store
    store.know_disks([*store.disks.known, KnownDisk(b"d" * 16, None, False, "")])
    with pytest.raises(NotFound, match="disk 'None' does not exist"):
        disks.declare_lost(case.site.vault, case.site.operator, "None")
    assert disks.declare_lost(case.site.vault, case.site.operator, "64" * 16).state == "lost"
    with pytest.raises(NotFound, match="disk 'None' does not exist"):
        disks.take_back(case.site.vault, case.site.operator, "None")
    case.stop()


def test_one_that_was_replaced_is_taken_back_by_its_id_once_the_other_is_lost_too(case: Case) -> None:
    (old,) = [(case.disk(2) / "disk.id").read_bytes()[24:40].hex()]
    case.replace(2)
    (new,) = [(case.disk(2) / "disk.id").read_bytes()[24:40].hex()]
    case.move(case.disk(2), case.root / "new")
    case.move(case.root / "away-2", case.disk(2))
    case.start()
    with pytest.raises(Conflict, match="another disk took its place"):
        disks.take_back(case.site.vault, case.site.operator, old)
    disks.declare_lost(case.site.vault, case.site.operator, new)
    with pytest.raises(Conflict, match="is not the only one of that number"):
        disks.take_back(case.site.vault, case.site.operator, "2")
    assert disks.take_back(case.site.vault, case.site.operator, old).state == "offline"
    with pytest.raises(Conflict, match="another disk took its place"):
        disks.take_back(case.site.vault, case.site.operator, new)
    case.stop()
    case.start()
    assert sorted(case.states(), key=str) == [*HERE, (2, "lost"), (2, "online")]
    assert case.fetch(case.old) == case.old
    case.stop()
