"""The power is lost at every call while a checkpoint is written: there is never one less than before."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

from tests.support.disk_faults import Killed, kill_after
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.vaultd.store.index.test_checkpoint import ROWS, header
from vaultd.store.index.checkpoint import checkpoint_name, list_checkpoints, verify_checkpoint, write_checkpoint

FALLS = 20


def make_disks() -> list[SimulatedDisk]:
    """Two checkpoints are on each, as long as the vault has run for a while."""
    disks = [SimulatedDisk(Path(f"/simulated/c{number}")) for number in range(2)]
    for number in (1, 2):
        write(SimulatedDoor(disks), number)
    return disks


def write(door: SimulatedDoor, number: int) -> None:
    write_checkpoint(door, [disk.root for disk in door.disks], header(number), ROWS)


def whole(disks: Sequence[SimulatedDisk], seed: int) -> list[list[int]]:
    """Of each disk, after a power loss; a damaged one is an error here."""
    found = []
    for disk in disks:
        left = disk.copy()
        left.cut_power(Random(seed))
        door = SimulatedDoor(left)
        numbers = list_checkpoints(door, left.root)
        for number in numbers:
            verify_checkpoint(door, left.root / checkpoint_name(number))
        found.append(numbers)
    return found


def test_each_disk_holds_two_whole_ones_wherever_the_power_is_lost() -> None:
    for n in count(1):
        disks = make_disks()
        faults = kill_after(n)
        with suppress(Killed):
            write(SimulatedDoor(disks, faults), 3)
        for seed in range(FALLS):
            assert all(len(numbers) >= 2 for numbers in whole(disks, seed)), faults.hits[:1]
        if not faults.fired:
            break
    assert n > 12


def test_once_it_is_written_it_is_there_and_the_oldest_is_gone() -> None:
    disks = make_disks()
    write(SimulatedDoor(disks), 3)
    for seed in range(FALLS):
        assert whole(disks, seed) == [[2, 3], [2, 3]]
