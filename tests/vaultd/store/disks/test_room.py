"""How much room there is, where the file system tells of what was written only after a commit of its own (btrfs)."""

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import KEYRING, create, make_id, make_settings, records, reopen
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.room import Room
from vaultd.store.errors import NoSpace, StoreBroken

RECORD_BYTES = 1000
RESERVE_BYTES = 100_000
SEGMENT_BYTES = 4096


class LateDoor(SystemDoor):
    """`free` is what is free; `told` what the file system says until it is made to settle."""

    def __init__(self, free: int) -> None:
        self.free = self.told = free
        self.settled = 0
        self.lowest = free

    def pwrite(self, handle, view, offset):
        super().pwrite(handle, view, offset)
        if handle.path.suffix == ".container":
            self.free -= len(view)
            self.lowest = min(self.lowest, self.free)

    def space(self, path: Path) -> tuple[int, int]:
        return 1 << 40, 1 << 40 if path.name == "index" else self.told

    def settle_space(self, path: Path) -> None:
        self.told = self.free
        self.settled += path.name != "index"


def fill(tmp_path: Path, room: int) -> tuple[LateDoor, int]:
    door = LateDoor(1 << 40)
    store = create(make_settings(tmp_path, reserve_bytes=RESERVE_BYTES), door)
    door.free = door.told = door.lowest = 2 * RESERVE_BYTES + room  # the journal lies there too
    seed = 0
    with suppress(NoSpace):
        while seed < 1_000:
            store.append(0, records(seed, size=RECORD_BYTES))
            store.commit()
            seed += 1
    assert seed < 1_000
    assert not store.is_broken
    return door, seed


def test_the_reserve_stays_although_the_file_system_tells_late(tmp_path: Path) -> None:
    """Each commit fills up one block more than its records have."""
    door, stored = fill(tmp_path, 1_000_000)
    assert stored > 200
    assert door.lowest >= 2 * RESERVE_BYTES - 8192


def test_it_is_made_to_settle_only_near_the_end(tmp_path: Path) -> None:
    door, stored = fill(tmp_path, 2_000_000)
    assert 1 <= door.settled < stored / 3


def test_a_disk_with_the_journal_that_goes_away_is_not_told_as_full(tmp_path: Path) -> None:
    """Its files are open and take what comes; where a new one is due, the store stops, and the next start goes on."""
    settings = make_settings(tmp_path, disks=2, journal_segment_bytes=SEGMENT_BYTES, reserve_bytes=RESERVE_BYTES)
    store = create(settings)
    (tmp_path / "disk1").rename(tmp_path / "away")
    stored = 0
    with suppress(StoreBroken):
        while stored < 100:
            store.append(0, records(stored))
            store.commit()
            stored += 1
    assert 0 < stored < 100
    assert store.is_broken
    store.close()
    assert reopen(settings).missing(KEYRING, [make_id(seed) for seed in range(stored)]) == [False] * stored


def test_a_file_system_that_cannot_settle_for_want_of_room_is_full(tmp_path: Path) -> None:
    class FullDoor(SystemDoor):
        def space(self, path: Path) -> tuple[int, int]:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    room = Room(FullDoor(), RESERVE_BYTES, [tmp_path], tmp_path)
    with pytest.raises(NoSpace):
        room.require_for_records(1)
