"""The system says that the disk is full although the vault saw room: somebody else took it, or btrfs for itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, environment
from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount
from tests.vaultd.store.fakes import create, make_record, make_settings, read, records, reopen
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import NoSpace, StoreBroken
from vaultd.store.lock_file import write_lock_file

RECORD_BYTES = 100_000
BATCH = 7
BATCHES_MAX = 1_000


class LateDoor(SystemDoor):
    """Says what was true before somebody else took it."""

    def space(self, path: Path) -> tuple[int, int]:
        return 1 << 40, 1 << 40


def seeds(batch: int) -> range:
    return range(batch * BATCH, (batch + 1) * BATCH)


def store_batches(store: ChunkStore) -> Iterator[int]:
    """The seeds that were acknowledged, until something fails."""
    for batch in range(BATCHES_MAX):
        store.append(0, records(*seeds(batch), size=RECORD_BYTES))
        store.commit()
        yield from seeds(batch)


def wrong(store: ChunkStore, acknowledged: list[int]) -> list[int]:
    return [seed for seed in acknowledged if read(store, seed) != make_record(seed, RECORD_BYTES)]


def opened_at_full(root: Path, count: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.real_disks.opened_at_full", root, str(count), str(RECORD_BYTES)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("leave_bytes", [10 * MIB, 3 * MIB // 2])
@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_disk_that_is_full_all_the_same_stops_the_store_and_loses_nothing(
    tmp_path: Path, mount: Mount, kind: str, leave_bytes: int
) -> None:
    disk = mount(kind, "disk")
    settings = make_settings(disk.path, disks=2, container_bytes=4 * MIB)
    store = create(settings, LateDoor())
    disk.fill(leave_bytes)
    acknowledged: list[int] = []
    with pytest.raises(NoSpace, match="a disk is full|the disk is full"):
        acknowledged.extend(store_batches(store))
    assert acknowledged
    with pytest.raises(StoreBroken):
        store.commit()
    store.close()
    # btrfs has no room for changes of its lock file; the others open as they are.
    assert opened_at_full(disk.path, len(acknowledged)) == ("full" if kind == "btrfs" else str(len(acknowledged)))
    disk.make_room()
    write_lock_file(settings.index_path)
    reopened = reopen(settings)
    assert wrong(reopened, acknowledged) == []
    again = list(zip(store_batches(reopened), range(10 * BATCH), strict=False))
    assert wrong(reopened, [seed for seed, _ in again]) == []
    reopened.close()
