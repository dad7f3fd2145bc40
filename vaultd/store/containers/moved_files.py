"""The files of containers of which every record that is needed was moved to another one.

Threads: any.
"""

from collections.abc import Mapping

from vaultd.store.containers.format import container_path
from vaultd.store.disk_door import Door, is_gone
from vaultd.store.disks.disk_set import Disks


def remove_moved(door: Door, disks: Disks, moved: Mapping[int, bytes]) -> list[int]:
    """`moved`: by number, the disk of each. The numbers of those that are durably gone; one whose disk is away stays
    for a later time.
    """
    removed, directories = [], set()
    for number, disk_id in moved.items():
        disk = disks.find_id(disk_id)
        if disk is None or not disks.is_here(door, disk_id):
            if disks.is_given_up(disk_id):
                removed.append(number)
            continue
        path = container_path(disk.path, number)
        if not is_gone(door, path):
            door.unlink(path)
        if door.exists(path.parent):
            directories.add(path.parent)
        removed.append(number)
    for directory in sorted(directories):
        door.fsync_directory(directory)
    return removed
