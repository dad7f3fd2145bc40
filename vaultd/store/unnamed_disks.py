"""The disks of a store whose catalog names none, because an earlier version wrote it: its containers tell of them."""

from vaultd.store.acknowledged import EntriesAfter, acknowledged_containers
from vaultd.store.disk_set import Disks
from vaultd.store.index import Index
from vaultd.store.known_disks import with_those_of_containers


def find_unnamed_disks(disks: Disks, index: Index, entries_after: EntriesAfter) -> None:
    """Those that are not here are offline, and are lost only where all paths hold a disk and one of these was made
    after the vault's first entry: it replaced them.
    """
    found = {row.disk_id for row in acknowledged_containers(index, entries_after).values()}
    first = next(entries_after(0), None)
    is_any_new = first is not None and any(disk.created_ns > first.time_ns for disk in disks.online)
    are_lost = is_any_new and not disks.offline
    disks.know(with_those_of_containers(disks.known, found, are_lost=are_lost))
