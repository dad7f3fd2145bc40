"""The store, and the catalog brought up to its journal: the same for a start and for a rebuild.

A catalog that is new begins with the newest checkpoint.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from msgspec import Struct

from vaultd.catalog.database import START, Catalog, Position
from vaultd.clock import Clock
from vaultd.errors import Damaged
from vaultd.operations.listed_disks import read_listed_disks
from vaultd.records import Change
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Door
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.disks.opening import VaultLock, open_disks
from vaultd.store.errors import JournalBehind
from vaultd.store.index import checkpoint as checkpoints
from vaultd.store.journal.format import Position as JournalPosition
from vaultd.store.journal.kept import is_forked
from vaultd.store.position import START as JOURNAL_START
from vaultd.store.store_parts import Demand
from vaultd.store.store_settings import StoreSettings


class Opening(Struct, frozen=True):
    """`applied`: what the catalog, or `who` in its place, has applied of the journal."""

    settings: StoreSettings
    door: Door
    clock: Clock
    applied: JournalPosition
    who: str = "catalog"


def open_store(undo: ExitStack, lock: VaultLock, catalog: Catalog, opening: Opening) -> ChunkStore:
    """Readable at once, writable after its `recover`."""
    known = read_listed_disks(catalog, opening.settings, opening.door)
    checkpoint = _newest_checkpoint(opening, known) if catalog.position() == START else JOURNAL_START
    settings, door, now_ns = opening.settings, opening.door, opening.clock.now_ns
    try:
        store = ChunkStore.open(settings, door, now_ns, known, Demand(opening.applied, opening.who, checkpoint))
    except JournalBehind as error:
        name = checkpoints.checkpoint_name(checkpoint.number)
        raise Damaged(
            str(error),
            f"bring a whole copy of the journal back; to go on without it, move {name} away from `checkpoints` of each "
            "disk: what is cut is kept beside",
        ) from error
    undo.callback(store.close)
    lock.take_online(store.disks)
    if catalog.position() == START:
        _load_checkpoint(store, catalog, opening)
    catalog.catch_up(_entries_after(store, catalog.position()))
    return store


def _newest_checkpoint(opening: Opening, known: Sequence[KnownDisk]) -> JournalPosition:
    """Known before the journal is mended: a start that it refuses has changed nothing."""
    settings, door = opening.settings, opening.door
    directories = open_disks(door, settings.disk_paths, settings.vault_id, known).copy_directories("checkpoints")
    found = checkpoints.read_newest_checkpoint(door, directories, settings.vault_id)
    return found[0] if found else JOURNAL_START


def _load_checkpoint(store: ChunkStore, catalog: Catalog, opening: Opening) -> None:
    """A lost catalog begins with the newest whole checkpoint: then damage in the journal before it costs nothing.

    One of another history is passed over. One that is ahead of the journal tells that entries are lost, unless another
    history is known to be kept.
    """
    door, vault_id = opening.door, opening.settings.vault_id
    has_forked = is_forked(door, store.disks.copy_directories("journal"))

    def belongs(position: JournalPosition) -> bool:
        if has_forked and position.number > store.position.number:
            return False
        return is_in_journal(store, Position(*position), "checkpoint")

    directories = store.disks.copy_directories("checkpoints")
    found = checkpoints.read_newest_checkpoint(door, directories, vault_id, belongs)
    if found is not None:
        catalog.load((row for row in found[1] if row[0] != checkpoints.CONTAINERS_TABLE), Position(*found[0]))


def _entries_after(store: ChunkStore, position: Position) -> Iterator[tuple[Position, list[Change]]]:
    """Journal entries after the catalog's position; one that comes from another journal is refused."""
    if not is_in_journal(store, position, "catalog"):
        raise Damaged(
            f"the catalog does not belong to this journal: entry {position.number} differs",
            "stop vaultd and run `vaultd rebuild DIR`: the catalog is made again from the journal",
        )
    for number, hash_, entry in store.replay(position.number):
        yield Position(store.position.timeline, number, hash_), list(entry.changes)


def is_in_journal(store: ChunkStore, position: Position, what: str) -> bool:
    """Whether catalog or checkpoint is the image of this very journal."""
    if position == START:
        return True
    if position.number > store.position.number:
        raise Damaged(
            f"the {what} has applied entry {position.number}, but the journal ends at entry {store.position.number}",
            "bring the disk with the newer copy of the journal back",
        )
    _, hash_, _ = next(store.replay(position.number - 1))
    return hash_ == position.hash
