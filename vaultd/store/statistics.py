"""What the store holds, in figures, disk by disk."""

from collections.abc import Sequence

from msgspec import Struct

from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.index_rows import ContainerRow


class DiskStatistics(Struct, frozen=True):
    number: int
    disk_id: bytes
    path: str
    total_bytes: int
    free_bytes: int


class Counted(Struct, frozen=True):
    records: int
    journal_number: int
    is_broken: bool


class StoreStatistics(Struct, frozen=True):
    records: int
    record_bytes: int  # acknowledged lengths: with headers, padding and directories
    containers: int
    disks: list[DiskStatistics]
    offline: list[str]
    journal_number: int
    is_broken: bool


def store_statistics(door: Door, disks: Disks, containers: Sequence[ContainerRow], counted: Counted) -> StoreStatistics:
    return StoreStatistics(
        records=counted.records,
        record_bytes=sum(row.acknowledged_length for row in containers),
        containers=len(containers),
        disks=disk_statistics(door, disks),
        offline=disks.paths_away,
        journal_number=counted.journal_number,
        is_broken=counted.is_broken,
    )


def disk_statistics(door: Door, disks: Disks) -> list[DiskStatistics]:
    """Of those that are here; nothing is free on one that does not answer any more."""
    found = []
    for disk in disks.online:
        try:
            total, free = door.space(disk.path)
        except OSError:
            total, free = 0, 0
        found.append(DiskStatistics(disk.number, disk.disk_id, str(disk.path), total, free))
    return found
