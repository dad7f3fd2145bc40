"""The system says that the disk is full although the vault saw room: somebody else took it, or the file system itself."""

from pathlib import Path

import pytest

from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount
from tests.vaultd.store.fakes import create, make_record, make_settings, read, records, reopen
from vaultd.store.disk_door import SystemDoor
from vaultd.store.lock_file import write_lock_file
from vaultd.store.errors import NoSpace, StoreBroken, StoreError

class Lying(SystemDoor):
    """Says what was true before somebody else took it."""

    def space(self, path):
        return 1 << 40, 1 << 40


RECORD_BYTES = 100_000
BATCH = 7
BATCHES_MAX = 1_000


def seeds(batch: int) -> range:
    return range(batch * BATCH, (batch + 1) * BATCH)


@pytest.mark.parametrize("leave_bytes", [10 * MIB, 3 * MIB // 2])
@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_disk_that_is_full_all_the_same_stops_the_store_and_loses_nothing(
    tmp_path: Path, mount: Mount, kind: str, leave_bytes: int
) -> None:
    disk = mount(kind, "disk")
    settings = make_settings(disk.path, disks=2, reserve_bytes=0, container_bytes=4 * MIB)
    store = create(settings, Lying())
    disk.fill(leave_bytes)
    acknowledged: list[int] = []
    with pytest.raises(NoSpace):
        for batch in range(BATCHES_MAX):
            store.append(0, records(*seeds(batch), size=RECORD_BYTES))
            store.commit()
            acknowledged += seeds(batch)
    try:
        store.append(0, records(1_000_000))
    except (StoreBroken, NoSpace) as error:
        print("THEN", repr(error), store.is_broken)
    store.close()
    try:
        write_lock_file(settings.index_path)
        reopened = reopen(settings)
    except (StoreError, OSError) as error:
        print("AT FULL", repr(error))
    else:
        print("REOPENED AT FULL")
        reopened.close()
    disk.make_room()
    reopened = reopen(settings)
    assert [seed for seed in acknowledged if read(reopened, seed) != make_record(seed, RECORD_BYTES)] == []
    reopened.append(0, records(*range(5000, 5010), size=RECORD_BYTES))
    reopened.commit()
    assert read(reopened, 5000) == make_record(5000, RECORD_BYTES)
    reopened.close()
    print(len(acknowledged))
