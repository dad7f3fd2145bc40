"""What is kept beside is there after a power loss, under its name, before anything of it may be cut or removed."""

from pathlib import Path
from random import Random

import pytest

from tests.support.disk_faults import Faults, Killed, Kind
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from vaultd.store.recovery.leftovers import keep_container, keep_tail

PATH = Path("/simulated/disk/000000000001.container")
DATA = bytes(range(256)) * 40
START = 8192
FALLS = 20


@pytest.fixture
def disk() -> SimulatedDisk:
    made = SimulatedDisk(PATH.parent)
    door = SimulatedDoor(made)
    handle = door.open_new(PATH)
    door.pwrite(handle, DATA, 0)
    door.fdatasync(handle)
    door.close(handle)
    door.fsync_directory(PATH.parent)
    return made


def left(disk: SimulatedDisk, seed: int) -> dict[Path, bytes]:
    """After a power loss."""
    copy = disk.copy()
    copy.cut_power(Random(seed))
    return {path: bytes(file.live) for path, file in copy.files().items()}


def test_a_container_that_was_kept_has_its_new_name_after_a_power_loss(disk: SimulatedDisk) -> None:
    beside = keep_container(SimulatedDoor(disk), PATH)
    assert beside != PATH
    for seed in range(FALLS):
        assert left(disk, seed) == {beside: DATA}


@pytest.mark.parametrize("name", ["pwrite", "fdatasync", "rename", "fsync_directory"])
def test_a_tail_that_was_kept_is_there_after_a_power_loss(disk: SimulatedDisk, name: str) -> None:
    """Also where a start died in the middle of it, and the next one finds what that one left."""
    with pytest.raises(Killed):
        keep_tail(SimulatedDoor(disk, Faults(Kind.kill_before, 1, names=frozenset({name}))), PATH, START)
    beside = keep_tail(SimulatedDoor(disk), PATH, START)
    for seed in range(FALLS):
        assert left(disk, seed) == {PATH: DATA, beside: DATA[START:]}
