"""What a start cut or removed does not come back with the next power loss: among what is written in its place it would
look like what an older copy of the journal does not know, or be left for ever.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.disk_faults import Faults, Killed, Kind
from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_store import SimulatedStore
from tests.vaultd.store.fakes import read, records

BLOCK = 4096
HEADER = 84  # of a record
FALLS = 200  # in few of them the longer file comes back and the new block lands in it


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SimulatedStore]:
    """One record is acknowledged; it runs."""
    made = SimulatedStore(tmp_path)
    made.store.append(0, records(1))
    made.store.commit()
    yield made
    made.store.close()


def fall(store: SimulatedStore, name: str, folder: str) -> None:
    """At the first call of this name there, in the middle of a commit."""
    door = store.store._door
    door.faults = Faults(Kind.kill_before, 1, names=frozenset({name}), under=store.disks[0].root / folder)
    with pytest.raises(Killed):
        store.store.commit()
    store.store.close()


def test_a_tail_that_was_cut_does_not_come_back_behind_the_next_records(store: SimulatedStore) -> None:
    """Two records of a block each are cut; the next one fills a block, and the second old one would stand behind it."""
    store.store.append(0, records(2, 3, size=BLOCK - HEADER))
    fall(store, "pwrite", "journal")
    assert store.start().findings == []
    image = store.index_image()
    store.store.append(0, records(4))
    fall(store, "fdatasync", "containers")
    before = [disk.copy() for disk in store.disks]
    for seed in range(FALLS):
        store.disks = [disk.copy() for disk in before]
        for disk in store.disks:
            disk.cut_power(Random(seed))
        store.give_back_index(image)
        assert store.start().findings == []
        assert read(store.store, 1) == bytes(records(1)[0].view)
        store.store.close()


def test_a_container_that_was_removed_does_not_come_back(store: SimulatedStore) -> None:
    disk = store.disks[0]
    path = next(path for path in disk.files() if path.suffix == ".container")
    store.store.close()
    unknown = path.with_name("000000000002.container")
    door = SimulatedDoor(store.disks)
    door.close(door.open_new(unknown))
    door.fsync_directory(unknown.parent)
    store.start()
    assert unknown not in disk.files()
    for seed in range(FALLS):
        left = disk.copy()
        left.cut_power(Random(seed))
        assert unknown not in left.files()
        assert path in left.files()
