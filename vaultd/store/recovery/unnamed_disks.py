"""The disks of a store whose catalog names none, because an earlier version wrote it: its containers tell of them."""

from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.known_disks import with_those_of_containers
from vaultd.store.index.acknowledged import EntriesAfter, acknowledged_containers
from vaultd.store.index.index import Index


def find_unnamed_disks(disks: Disks, index: Index, entries_after: EntriesAfter) -> None:
    """Those that are not here are offline until an operator declares them lost: nothing tells that one was replaced."""
    found = {row.disk_id for row in acknowledged_containers(index, entries_after).values()}
    disks.know(with_those_of_containers(disks.known, found))
