"""What the recovery of containers and index works on."""

from msgspec import Struct

from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.index.acknowledged import EntriesAfter
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Tell


class Parts(Struct, frozen=True):
    """`entries_after` reads the durable journal entries after a number.

    `is_forked`: a copy of the journal with another history is kept beside. What that one acknowledged is not known
    here, so nothing is cut or removed until an operator took it away.
    """

    door: Door
    disks: Disks
    vault_id: bytes
    index: Index
    entries_after: EntriesAfter
    is_forked: bool
    tell: Tell
