"""The power is lost while a small file takes the place of another, or is put aside."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

from tests.support.disk_faults import Killed, kill_after
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from vaultd.store.disk_door import write_file
from vaultd.store.journal.kept import keep_forked

PATH = Path("/simulated/disk/name")
OLD, NEW = b"o" * 5000, b"n" * 3000
FALLS = 20


def make_disk() -> SimulatedDisk:
    disk = SimulatedDisk(PATH.parent)
    write_file(SimulatedDoor(disk), PATH, OLD)
    return disk


def left(disk: SimulatedDisk, seed: int) -> dict[Path, bytes]:
    copy = disk.copy()
    copy.cut_power(Random(seed))
    return {path: bytes(file.live) for path, file in copy.files().items()}


def test_a_small_file_is_the_old_or_the_new_one_and_the_new_one_once_it_was_written() -> None:
    for n in count(1):
        disk = make_disk()
        faults = kill_after(n)
        with suppress(Killed):
            write_file(SimulatedDoor(disk, faults), PATH, NEW)
        expected = [OLD, NEW] if faults.fired else [NEW]
        assert all(left(disk, seed)[PATH] in expected for seed in range(FALLS)), faults.hits[:1]
        if not faults.fired:
            break
    assert n == 6


def test_another_history_that_was_kept_has_its_new_name_after_a_power_loss() -> None:
    disk = make_disk()
    name = keep_forked(SimulatedDoor(disk), PATH, OLD)
    for seed in range(FALLS):
        assert left(disk, seed) == {PATH.with_name(name): OLD}
