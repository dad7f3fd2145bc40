"""Containers whose files are gone from disks that are here: what lay in them is missing, as on a disk that is lost.

Invariant: a disk that went away, or one that does not say, takes nothing for gone. Threads: any.
"""

from collections.abc import Iterable

from vaultd.store.containers.format import container_path
from vaultd.store.disk_door import Door, is_gone
from vaultd.store.disks.disk_set import Disks
from vaultd.store.index_rows import ContainerRow


def find_gone(door: Door, disks: Disks, rows: Iterable[ContainerRow]) -> frozenset[int]:
    """Their numbers."""
    lacking: dict[bytes, list[int]] = {}
    for row in rows:
        disk = disks.find_id(row.disk_id)
        if disk and is_gone(door, container_path(disk.path, row.number)):
            lacking.setdefault(row.disk_id, []).append(row.number)
    here = [numbers for disk_id, numbers in lacking.items() if disks.is_here(door, disk_id)]  # asked after the files
    return frozenset(number for numbers in here for number in numbers)
