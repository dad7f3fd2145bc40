"""A crash at every step of the start that makes a marked directory a disk: the next start goes on."""

import itertools
import shutil
from typing import Any

import pytest

from tests.vaultd.store.fakes import (
    Crash,
    CrashingDoor,
    FailingDoor,
    PowerLossDoor,
    create,
    make_record,
    make_settings,
    read,
    records,
    reopen,
)
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import StoreError


def marked(root):
    """A vault of two disks whose second one is lost, and the empty directory in its place."""
    root.mkdir()
    settings = make_settings(root, disks=2)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    store.close()
    shutil.rmtree(root / "disk1")
    (root / "disk1").mkdir()
    (root / "disk1" / "disk.new").touch()
    return settings


def joined(settings):
    store = reopen(settings)
    assert [disk.number for disk in store.disks.online] == [0, 1]
    assert read(store, 1) == make_record(1)
    store.append(1, records(2))
    store.commit()
    store.close()
    first, second = ({one.name: one.read_bytes() for one in (d / "journal").iterdir()} for d in settings.disk_paths)
    assert first == second != {}
    return check_store(settings, SystemDoor(), read_data=True).findings


class FailingAtNewDisk(FailingDoor):
    """Counts from the first directory that is made below the marked one."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted

    def around(self, name: str, call: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if name == "mkdir" and not self.fail_at and "disk1" in str(arguments[0]):
            self.arm(self.wanted)
        return super().around(name, call, arguments, named)


def test_a_new_disk_that_fails_is_named(tmp_path):
    for fail_at in range(1, 15):  # the identity is there from the 12th on
        settings = marked(tmp_path / str(fail_at))
        door = FailingAtNewDisk(fail_at)
        with pytest.raises(StoreError, match="disk1 cannot become a disk: .*told to fail; take another one"):
            reopen(settings, door)
        assert joined(settings) == [], fail_at


def test_no_directory_becomes_a_disk_where_the_journal_is_refused(tmp_path):
    """One that came back older than the index says nothing of what is away."""
    settings = make_settings(tmp_path, disks=2)
    create(settings).close()
    shutil.copytree(tmp_path / "disk0", tmp_path / "older")
    store = reopen(settings)
    store.append(0, records(1))
    store.commit()
    store.close()
    shutil.rmtree(tmp_path / "disk0")
    (tmp_path / "older").rename(tmp_path / "disk0")
    (tmp_path / "disk1").rename(tmp_path / "away")
    (tmp_path / "disk1").mkdir()
    (tmp_path / "disk1" / "disk.new").touch()
    with pytest.raises(StoreError, match="ends at entry"):
        reopen(settings)
    assert [path.name for path in (tmp_path / "disk1").iterdir()] == ["disk.new"]


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_at_any_step_is_gone_on_from(tmp_path, torn):
    for crash_at in itertools.count(1):
        settings = marked(tmp_path / str(crash_at))
        try:
            reopen(settings, CrashingDoor(crash_at, torn=torn)).close()
            break
        except Crash:
            assert joined(settings) == [], crash_at
    assert crash_at > 20


def test_a_power_cut_at_any_step_is_gone_on_from(tmp_path):
    for crash_at in itertools.count(1):
        settings = marked(tmp_path / str(crash_at))
        door = PowerLossDoor(list(settings.disk_paths), crash_at)
        try:
            reopen(settings, door).close()
            break
        except Crash:
            door.cut_power()
            assert joined(settings) == [], crash_at
    assert crash_at > 20
