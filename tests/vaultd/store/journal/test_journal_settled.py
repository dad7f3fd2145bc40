"""A start believes what a process left in the journal that died before it was synced, or whose sync failed: what it
believes it acts on, so power may be lost right after it.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.support.disk_faults import Faults, Killed, Kind, lose_sync
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.vaultd.store.fakes import VAULT, now_ns
from tests.vaultd.store.journal.test_journal import texts, write
from vaultd.store.journal.journal import Journal, JournalSettings
from vaultd.store.journal.recovery import Applied
from vaultd.store.position import Position

FALLS = 20  # of each half or so take what is not synced


def make_disks(copies: int) -> list[SimulatedDisk]:
    return [SimulatedDisk(Path(f"/simulated/disk{copy}")) for copy in range(copies)]


def settings(disks: Sequence[SimulatedDisk], segment_bytes: int = 1 << 20) -> JournalSettings:
    return JournalSettings([disk.root for disk in disks], VAULT, segment_bytes, now_ns)


def start(disks: Sequence[SimulatedDisk], applied: Position, segment_bytes: int = 1 << 20) -> Journal:
    return Journal.open(SimulatedDoor(disks), settings(disks, segment_bytes), Applied(applied))


def dies_at(disks: Sequence[SimulatedDisk], faults: Faults, segment_bytes: int = 1 << 20) -> Position:
    """A process with the durable entry "a" comes to its end while it writes "b"; where the first one ends."""
    door = SimulatedDoor(disks)
    journal = Journal.create(door, settings(disks, segment_bytes))
    end = write(journal, "a")
    door.faults = faults
    with pytest.raises((Killed, OSError)):
        write(journal, "b")
    return end


def assert_each_copy_keeps(disks: Sequence[SimulatedDisk], applied: Position, expected: list[str]) -> None:
    """After each of many power losses, and then on each disk without the other one."""
    for seed in range(FALLS):
        for disk in disks:
            left = disk.copy()
            left.cut_power(Random(seed))
            journal = start([left], applied)
            assert texts(journal) == expected
            journal.close()


@pytest.mark.parametrize("copies", [1, 2])
def test_an_entry_of_a_process_that_died_is_synced_before_it_is_believed(copies: int) -> None:
    disks = make_disks(copies)
    before = dies_at(disks, Faults(Kind.kill_before, 1, names=frozenset({"fdatasync"})))
    journal = start(disks, before)
    assert texts(journal) == ["a", "b"]
    assert_each_copy_keeps(disks, journal.position, ["a", "b"])


@pytest.mark.parametrize("copies", [1, 2])
def test_what_a_failed_sync_lost_is_not_believed_though_reads_show_it(copies: int) -> None:
    """One copy lost the entry; where there is another, that one has it, and it is written to both again."""
    disks = make_disks(copies)
    before = dies_at(disks, lose_sync(1))
    journal = start(disks, before)
    expected = ["a", "b"] if copies == 2 else ["a"]
    assert texts(journal) == expected
    assert_each_copy_keeps(disks, journal.position, expected)
    assert_each_copy_keeps(disks, write(journal, "c"), [*expected, "c"])


@pytest.mark.parametrize("at", [1, 2])
def test_the_name_of_a_segment_that_was_begun_is_synced_before_it_is_gone_on_with(at: int) -> None:
    """The process died when the new segment was there in one or in both copies, one without a durable name."""
    disks = make_disks(2)
    short = 300  # a segment holds one entry
    before = dies_at(disks, Faults(Kind.kill_before, at, names=frozenset({"fsync_directory"})), short)
    journal = start(disks, before, short)
    assert texts(journal) == ["a"]
    end = write(journal, "c")
    assert len(disks[0].files()) == 2
    assert_each_copy_keeps(disks, end, ["a", "c"])


def add(disk: SimulatedDisk, path: Path, data: bytes) -> None:
    """Behind the end of a file, or as a new one; durable."""
    door = SimulatedDoor(disk)
    is_new = not door.exists(path)
    handle = door.open_new(path) if is_new else door.open_write(path)
    door.pwrite(handle, data, 0 if is_new else door.size(path))
    door.fdatasync(handle)
    door.close(handle)
    door.fsync_directory(path.parent)


def test_a_segment_without_a_header_that_was_removed_does_not_come_back() -> None:
    """It has the number of the next entry, which lies in the segment before it: there nobody would look for it."""
    (disk,) = disks = make_disks(1)
    journal = Journal.create(SimulatedDoor(disks), settings(disks))
    before = write(journal, "a")
    journal.close()
    add(disk, disk.root / "0000000000000002.journal", bytes(128))
    journal = start(disks, before)
    assert len(disk.files()) == 1
    assert_each_copy_keeps(disks, write(journal, "c"), ["a", "c"])


def test_entries_that_were_kept_beside_do_not_come_back() -> None:
    """They stand behind a damaged one; with the index lost too, a start would be refused because of them."""
    (disk,) = disks = make_disks(1)
    journal = Journal.create(SimulatedDoor(disks), settings(disks))
    before = write(journal, "a")
    (path,) = disk.files()
    length = len(disk.files()[path].live)
    write(journal, "b", "c")
    journal.close()
    disk.files()[path].live[length] ^= 1
    disk.files()[path].durable[length] ^= 1
    journal = start(disks, before)
    assert any(name.suffix != ".journal" for name in disk.files())
    journal.close()
    for seed in range(FALLS):
        left = disk.copy()
        left.cut_power(Random(seed))
        journal = Journal.open(SimulatedDoor(left), settings([left]), Applied(None))
        assert texts(journal) == ["a"]
