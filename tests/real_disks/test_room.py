"""What the vault takes for room on a real file system is there, also where that tells only later what was used."""

import os
from pathlib import Path

import pytest

from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount, run
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.room import Room

WRITTEN_BYTES = 16 * MIB
PIECE_BYTES = MIB


def write_synced(room: Room, path: Path) -> None:
    """As a container is written: each piece is durable before the next."""
    with path.open("wb", buffering=0) as file:
        for _ in range(WRITTEN_BYTES // PIECE_BYTES):
            assert file.write(os.urandom(PIECE_BYTES)) == PIECE_BYTES
            os.fdatasync(file.fileno())
            room.note_written(PIECE_BYTES)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_room_that_decides_is_what_the_file_system_has(mount: Mount, kind: str) -> None:
    """What is asked for was free before, and is not any more."""
    disk = mount(kind, "disk")
    if kind == "btrfs":
        run("mount", "-o", "remount,commit=300", disk.path)  # it commits in the middle of no test
    os.sync()
    before = disk.free_bytes()
    room = Room(SystemDoor(), 0, [disk.path], disk.path)
    write_synced(room, disk.path / "records")
    told = disk.free_bytes()
    needed = before - WRITTEN_BYTES + 2 * MIB
    free = room.free_bytes(disk.path, needed)
    print(f"{kind}: {before} were free, {told} are told, {free} are believed, {needed} are needed")
    assert free < needed
