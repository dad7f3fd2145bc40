"""A scrub reads the disk and not the cache: the block device changes under a container that the system has cached."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from tests.real_disks.conftest import FILE_SYSTEMS, Mount, RealDisk
from tests.vaultd.store.fakes import KEYRING, VAULT, make_id, make_record, now_ns, read, records
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Handle, SystemDoor
from vaultd.store.store_settings import StoreSettings

SIZE = 20_000


class CachedDoor(SystemDoor):
    """As on a file system that takes no direct reads: the cache is dropped before each."""

    def open_uncached(self, path: Path) -> Handle:
        return self.open_read(path)


DOORS = {"direct": SystemDoor, "cache_dropped": CachedDoor}


def store_on(disk: RealDisk, tmp_path: Path, door: SystemDoor) -> ChunkStore:
    path = disk.path / "disk"
    path.mkdir()
    settings = StoreSettings(tmp_path / "index", [path], VAULT, container_bytes=64 * 1024, reserve_bytes=0)
    store = ChunkStore.create(settings, door, now_ns)
    store.append(0, records(1, 2, 3, 4, size=SIZE))
    store.commit()
    return store


def flip_on_the_device(disk: RealDisk, record: bytes) -> None:
    """One bit in the middle of the record, in the image: the file system above hears nothing of it. btrfs refuses the
    block then, which belongs to no other record.
    """
    os.sync()
    with disk.image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as image:
        place = image.find(record)
        assert place >= 0
        assert image.find(record, place + 1) < 0
        image[place + len(record) // 2] ^= 1
        image.flush()


def lost(store: ChunkStore) -> list[bytes]:
    found = []
    for row in store.containers():
        now, open_rows = store.container_now(row.number)
        assert now is not None
        found += [id_ for piece in store.scrub.run(now, open_rows) for id_, _ in piece.lost]
    return found


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.parametrize("seed", [1, 4])
def test_damage_below_a_cached_file_is_found(mount: Mount, tmp_path: Path, kind: str, door: str, seed: int) -> None:
    """Record 1 lies in a sealed container, 4 in one that goes on."""
    disk = mount(kind, "disk")
    store = store_on(disk, tmp_path, DOORS[door]())
    assert [row.is_sealed for row in store.containers()] == [True, False]
    assert lost(store) == []
    for path in disk.path.rglob("*.container"):
        path.read_bytes()  # now the system has it
    flip_on_the_device(disk, make_record(seed, SIZE))
    assert read(store, seed) == make_record(seed, SIZE)  # from the cache
    assert store.missing(KEYRING, [make_id(seed)]) == [False]
    assert lost(store) == [make_id(seed)]
    store.close()
