"""What can happen to a disk, case by case: how each one is shown, and what a restore gets of what lies on it.

A vault of three disks; record `old` lies on the third, `new` is stored there where another disk took its place.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.vaultd.operations.disk_case import AWAY, LOST, OFFLINE, ONLINE, Case
from tests.vaultd.operations.small_site import make_site
from vaultd.errors import Conflict, VaultError
from vaultd.operations import disks, vault
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import DiskMissing, StoreError


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def nothing(case: Case) -> None:
    pass


def missing_at_start(case: Case) -> None:
    case.take_away(2)


def back_again(case: Case) -> None:
    case.take_away(2)
    case.restarted()
    case.bring_back(2)


def out_of_the_settings(case: Case) -> None:
    case.set_paths(0, 1)


def out_of_the_settings_and_lmdb_lost(case: Case) -> None:
    case.set_paths(0, 1)
    case.lose_lmdb()


def into_the_settings_again(case: Case) -> None:
    case.set_paths(0, 1)
    case.restarted()
    case.set_paths(0, 1, 2)


def declared_lost(case: Case) -> None:
    case.take_away(2)
    case.declare("2")


def declared_lost_and_lmdb_lost(case: Case) -> None:
    declared_lost(case)
    case.lose_lmdb()


def declared_lost_and_back(case: Case) -> None:
    declared_lost(case)
    case.bring_back(2)


def declared_lost_back_and_lmdb_lost(case: Case) -> None:
    declared_lost_and_back(case)
    case.lose_lmdb()


def taken_back(case: Case) -> None:
    declared_lost(case)
    case.undo("2")


def taken_back_and_here(case: Case) -> None:
    declared_lost_and_back(case)
    case.undo("2")


def replaced(case: Case) -> None:
    case.replace(2)


def replaced_and_killed_before_the_list(case: Case) -> None:
    """The new disk was made, and the catalog had not heard of it yet."""
    case.take_away(2)
    (case.disk(2) / "disk.new").touch()
    with case.monkeypatch.context() as once:
        once.setattr(vault, "keep_disks", killed)
        with pytest.raises(Killed):
            case.start()
    case.start()
    case.new = case.store_on(2)
    case.stop()


def replaced_without_room_for_the_list(case: Case) -> None:
    """The old one is in its place before the catalog could hear of the new one."""
    case.take_away(2)
    (case.disk(2) / "disk.new").touch()
    with case.monkeypatch.context() as full:
        full.setattr(vault, "keep_disks", lambda *_: None)
        case.start()
        case.new = case.store_on(2)
        case.stop()
    case.move(case.disk(2), case.root / "new")
    case.move(case.root / f"{AWAY}-2", case.disk(2))


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object) -> None:
    raise Killed


def declared_lost_then_replaced(case: Case) -> None:
    declared_lost(case)
    (case.disk(2) / "disk.new").touch()
    case.start()
    case.new = case.store_on(2)
    case.stop()


def replaced_and_the_old_one_in_its_place(case: Case) -> None:
    case.replace(2)
    case.move(case.disk(2), case.root / "new")
    case.move(case.root / f"{AWAY}-2", case.disk(2))


def replaced_one_of_them_declared_lost_first(case: Case) -> None:
    """Two are away: the one that was declared lost is replaced."""
    case.take_away(1)
    case.take_away(2)
    case.declare("2")
    (case.disk(2) / "disk.new").touch()
    case.restarted()


def swapped_paths(case: Case) -> None:
    case.move(case.disk(2), case.root / "third")
    case.move(case.disk(1), case.disk(2))
    case.move(case.root / "third", case.disk(1))


BOTH = sorted([*LOST, (2, "online")], key=str)


@dataclass(frozen=True)
class Expected:
    """`old`, `new`: "whole", or why a restore does not get it; `is_asked_for`: whether the next run sends `old`."""

    arrange: Callable[[Case], None]
    states: list[tuple[int | None, str]]
    old: str
    is_asked_for: bool = False
    new: str = ""
    said: str = ""


TABLE = [
    Expected(nothing, ONLINE, "whole"),
    Expected(missing_at_start, OFFLINE, "offline", said="the disk is offline (disk 2, "),
    Expected(back_again, ONLINE, "whole"),
    Expected(out_of_the_settings, OFFLINE, "offline", said="no path of the settings holds it"),
    Expected(out_of_the_settings_and_lmdb_lost, OFFLINE, "offline", True, said="no path of the settings holds it"),
    Expected(into_the_settings_again, ONLINE, "whole"),
    Expected(declared_lost, LOST, "damaged", True, said="was declared lost: put another one in its place"),
    Expected(declared_lost_and_lmdb_lost, LOST, "missing", True, said="was declared lost"),
    Expected(declared_lost_and_back, LOST, "damaged", True, said=" --undo` and a restart"),
    Expected(declared_lost_back_and_lmdb_lost, LOST, "missing", True, said="`vaultctl disk lost "),
    Expected(taken_back, OFFLINE, "offline", said="the disk is offline"),
    Expected(taken_back_and_here, ONLINE, "whole"),
    Expected(replaced, BOTH, "damaged", True, new="whole"),
    Expected(replaced_and_killed_before_the_list, BOTH, "damaged", True, new="whole"),
    Expected(
        replaced_without_room_for_the_list,
        sorted([*ONLINE, (None, "offline")], key=str),
        "whole",
        new="offline",
        said="no path of the settings holds it",
    ),
    Expected(declared_lost_then_replaced, BOTH, "damaged", True, new="whole"),
    Expected(
        replaced_and_the_old_one_in_its_place,
        sorted([*OFFLINE, (2, "lost")], key=str),
        "damaged",
        True,
        new="offline",
        said="which another one replaced: mount that one",
    ),
    Expected(
        replaced_one_of_them_declared_lost_first,
        sorted([(0, "online"), (1, "offline"), (2, "lost"), (2, "online")], key=str),
        "damaged",
        True,
        said="journal, checkpoints and erase keys are on one disk only",
    ),
    Expected(swapped_paths, ONLINE, "whole"),
]


@pytest.mark.parametrize("expected", TABLE, ids=lambda expected: expected.arrange.__name__)
def test_each_state_is_shown_and_costs_what_it_must(case: Case, expected: Expected) -> None:
    expected.arrange(case)
    for _ in range(2):  # a second start says the same
        case.start()
        assert sorted(case.states(), key=str) == expected.states
        assert case.fetch(case.old) == (case.old if expected.old == "whole" else expected.old)
        assert case.is_missing(case.old) == expected.is_asked_for
        if case.new and expected.new:
            assert case.fetch(case.new) == (case.new if expected.new == "whole" else expected.new)
            assert not case.is_missing(case.new)
        assert expected.said in case.warnings()
        assert len(case.site.vault.store.disks.paths_away) == str(expected.states).count("offline")
        assert bool(case.warnings()) == bool(expected.said)
        case.stop()
        said = [finding.sentence for finding in check_vault(case.site.config, SystemDoor(), read_data=False).findings]
        assert expected.said in "\n".join(said)


@pytest.mark.parametrize("number", [0, 1])
def test_one_copy_of_the_journal_is_said_also_where_the_path_was_taken_out_of_the_settings(
    case: Case, number: int
) -> None:
    case.set_paths(1 - number)
    case.start()
    sentence = "journal, checkpoints and erase keys are on one disk only"
    assert sentence in case.warnings()
    assert sentence in "\n".join(finding.sentence for finding in case.site.vault.recovery.findings)
    case.stop()
    findings = check_vault(case.site.config, SystemDoor(), read_data=False).findings
    assert sentence in "\n".join(finding.sentence for finding in findings)


def foreign(case: Case) -> None:
    other = make_site(case.root / "other", disks=3)
    close_vault(other.vault)
    shutil.rmtree(case.disk(2))
    shutil.copytree(other.config.directory / "disk-3", case.disk(2))


def twice(case: Case) -> None:
    shutil.copytree(case.disk(1), case.disk(3))
    case.set_paths(0, 1, 2, 3)


def no_journal(case: Case) -> None:
    case.take_away(0)
    case.take_away(1)


@pytest.mark.parametrize(
    ("arrange", "sentence"),
    [
        (foreign, "disk-3 is a disk of vault"),
        (twice, "disk number 1 is there twice"),
        (no_journal, "no disk with a journal is here"),
    ],
)
def test_what_cannot_be_right_is_refused(case: Case, arrange: Callable[[Case], None], sentence: str) -> None:
    arrange(case)
    with pytest.raises((StoreError, VaultError)) as refused:
        case.start()
    assert sentence in f"{refused.value} {refused.value.__cause__}"
    assert not isinstance(refused.value, DiskMissing)


def test_nothing_on_a_disk_that_was_declared_lost_is_changed(case: Case) -> None:
    declared_lost_and_back(case)

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(case.disk(2).rglob("*")) if path.is_file()}

    before = content()
    case.start()
    case.store_on(2)
    case.stop()
    assert content() == before


def test_only_a_disk_that_is_away_can_be_lost_and_one_that_was_replaced_stays_so(case: Case) -> None:
    case.start()
    opened, operator = case.site.vault, case.site.operator
    with pytest.raises(Conflict, match="it is not lost"):
        disks.declare_lost(opened, operator, "2")
    with pytest.raises(VaultError, match="disk '7' does not exist"):
        disks.declare_lost(opened, operator, "7")
    with pytest.raises(Conflict, match=r"disk 2 \(.*\) is not lost"):
        disks.take_back(opened, operator, "2")
    (old,) = [one.disk_id.hex() for one in opened.store.disks.known if one.number == 2]
    case.stop()
    case.replace(2)
    case.start()
    with pytest.raises(Conflict, match="another disk took its place"):
        disks.take_back(case.site.vault, case.site.operator, old)
    with pytest.raises(Conflict, match="is not lost"):  # the number is that of the new one
        disks.take_back(case.site.vault, case.site.operator, "2")
    assert (2, "lost") in case.states()
    case.stop()


def test_the_word_is_in_the_audit_once(case: Case) -> None:
    case.take_away(2)
    case.start()
    opened, operator = case.site.vault, case.site.operator
    for _ in range(2):
        assert disks.declare_lost(opened, operator, "2").state == "lost"
    assert disks.take_back(opened, operator, "2").state == "offline"
    with opened.catalog.read() as view:
        entries = [msgspec.msgpack.decode(value)[1:] for _, value in view.scan("audit", bytes(16))]
    (disk_id,) = [one.disk_id.hex() for one in opened.store.disks.known if one.number == 2]
    said = [entry for entry in entries if entry[1].startswith("disk.")]
    assert said == [["operator operator", "disk.lost", disk_id], ["operator operator", "disk.lost.undo", disk_id]]
    case.stop()


@pytest.mark.parametrize("number", [0, 1])
def test_one_with_the_journal_that_was_declared_lost_too_early_comes_back_whole(case: Case, number: int) -> None:
    """The vault went on meanwhile; all of it is on both copies afterwards."""
    case.start()
    held = case.store_on(number)
    case.stop()
    case.take_away(number)
    case.declare(str(number))
    case.start()
    case.site.administrator("meanwhile")
    later = case.store_on(2)
    case.stop()
    case.bring_back(number)
    case.undo(str(number))
    case.start()
    assert case.states() == ONLINE
    assert case.warnings() == ""
    assert [case.fetch(record) for record in (held, later, case.old)] == [held, later, case.old]
    case.stop()
    case.start()
    case.site.administrator("later")
    case.stop()  # with the second checkpoint on both
    for name in ("journal/*", "erase-keys/*.key", "checkpoints/*"):
        copies = [{path.name: path.read_bytes() for path in case.disk(one).glob(name)} for one in (0, 1)]
        assert copies[0] == copies[1] != {}
    assert check_vault(case.site.config, SystemDoor(), read_data=True).findings == []
