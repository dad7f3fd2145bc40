"""An identity file that is damaged costs no more than its disk being away, and can be made again by hand."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import ONLINE, Case
from tests.vaultd.store.fakes import flip
from vaultd.errors import Unavailable
from vaultd.operations.check import check_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def id_of_disk(case: Case, number: int) -> str:
    return (case.disk(number) / "disk.id").read_bytes()[24:40].hex()


def make_again(case: Case, number: int, disk_id: str) -> None:
    """As the page says it."""
    (line,) = [one for one in PAGE.read_text().splitlines() if "encode_identity" in one]
    _, _, program, home, disk, said_number, said_id = shlex.split(line.removeprefix("$ "))
    assert (home, disk, said_number, said_id) == ("/srv/vault", "/srv/disk-b", "1", "ID")
    arguments = [str(case.site.config.directory), str(case.disk(number)), str(number), disk_id]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_disk_is_offline_until_its_file_was_made_again(case: Case, number: int) -> None:
    case.start()
    held = case.store_on(number)
    case.stop()
    disk_id = id_of_disk(case, number)
    flip(case.disk(number) / "disk.id", 20)
    sentence = f"{case.disk(number)}/disk.id is damaged: its length or checksum does not hold"
    for _ in range(2):
        case.start()
        assert (number, "offline") in case.states()
        assert f"{sentence}; make it again from the disk's number and id, disk {number}, {disk_id}" in case.warnings()
        assert case.fetch(held) == "offline"
        case.site.administrator(f"meanwhile-{len(case.states())}-{case.site.vault.store.position.number}")
        case.stop()
    report = check_vault(case.site.config, SystemDoor(), read_data=False)
    damage = [(one.place, one.sentence) for one in report.findings if one.severity is Severity.damage]
    assert damage[0] == (f"{case.disk(number)}/disk.id", sentence)
    make_again(case, number, disk_id)
    case.start()
    assert (case.states(), case.warnings()) == (ONLINE, "")
    assert case.fetch(held) == held
    case.stop()
    assert check_vault(case.site.config, SystemDoor(), read_data=True).is_damaged is False


def test_without_a_journal_the_start_is_refused_and_names_the_files_and_the_disks(case: Case) -> None:
    ids = [id_of_disk(case, number) for number in (0, 1)]
    for number in (0, 1):
        flip(case.disk(number) / "disk.id", 30)
    with pytest.raises(Unavailable) as refused:
        case.start()
    for number in (0, 1):
        said = f"{case.disk(number)}/disk.id is damaged: its length or checksum does not hold; make it again"
        assert said in refused.value.message
        assert f"disk {number}, {ids[number]}" in refused.value.message
    make_again(case, 0, ids[0])
    case.start()
    case.stop()
    make_again(case, 1, ids[1])
    case.start()
    assert (case.states(), case.warnings()) == (ONLINE, "")
    case.stop()
