"""What a store is put together from: its disks, its journal and its index, made on empty directories or opened as they
are there.

Invariant: a directory becomes a disk only after the journal was accepted. Threads: the writer thread only.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.identity import Disk
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.disks.opening import create_disk, open_disks, sync_directories, take_new_disk
from vaultd.store.disks.room import Room
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch
from vaultd.store.journal.journal import Journal, JournalSettings
from vaultd.store.journal.recovery import Applied
from vaultd.store.position import START, Position
from vaultd.store.store_settings import StoreSettings, check_settings


class StoreParts(Struct, frozen=True):
    disks: Disks
    journal: Journal
    index: Index
    room: Room
    names_disks: bool  # whoever opened it knew some
    taken: Sequence[Disk] = ()  # in the place of lost ones


class Demand(Struct, frozen=True):
    """What the journal must hold: `catalog` is what the catalog, or `who` in its place, has applied; `checkpoint` the
    one that a lost catalog will begin with.
    """

    catalog: Position = START
    who: str = "catalog"
    checkpoint: Position = START


def create_parts(settings: StoreSettings, door: Door, now_ns: Callable[[], int]) -> None:
    """On empty directories; nothing is open when this returns."""
    check_settings(settings)
    for number, path in enumerate(settings.disk_paths):
        create_disk(door, path, settings.vault_id, number, now_ns())
    disks = open_disks(door, settings.disk_paths, settings.vault_id)
    Journal.create(door, _journal_settings(settings, disks, now_ns)).close()
    index = Index.open(settings.index_path, settings.vault_id, settings.index_map_bytes)
    index.apply(IndexBatch(position=START))
    index.close()


def open_parts(
    settings: StoreSettings, door: Door, now_ns: Callable[[], int], known: Sequence[KnownDisk], demand: Demand
) -> StoreParts:
    """With the journal's copies mended. `known`: the disks that the catalog names; without one those that the disks
    name which are here.
    """
    check_settings(settings)
    disks = _disks_here(settings, door, known)
    index = Index.open(settings.index_path, settings.vault_id, settings.index_map_bytes)
    try:
        applied = Applied(index.position(), demand.catalog, demand.who, demand.checkpoint)
        taken: Sequence[Disk] = ()
        journal = Journal.open(door, _journal_settings(settings, disks, now_ns), applied)
        if _takes_new_disk(settings, door, now_ns(), journal, known, applied):
            before, findings = {disk.disk_id for disk in disks.online}, journal.findings
            disks = _disks_here(settings, door, known)
            taken = [disk for disk in disks.online if disk.disk_id not in before]
            journal = Journal.open(door, _journal_settings(settings, disks, now_ns), applied)
            journal.findings[:0] = findings
        room = Room(door, settings.reserve_bytes, [disk.path for disk in disks.with_copies], settings.index_path)
        return StoreParts(disks, journal, index, room, bool(known), taken)
    except BaseException:
        index.close()
        raise


def _disks_here(settings: StoreSettings, door: Door, known: Sequence[KnownDisk]) -> Disks:
    return sync_directories(door, open_disks(door, settings.disk_paths, settings.vault_id, known))


def _takes_new_disk(
    settings: StoreSettings,
    door: Door,
    now_ns: int,
    journal: Journal,
    known: Sequence[KnownDisk],
    applied: Applied,
) -> bool:
    """Only after the journal was accepted: one that is older than index or catalog knows nothing of the disks that came
    since, and where both are lost nothing tells whether it is. It is closed where there is a new disk now.
    """
    is_vouched = applied.catalog != START or (applied.index or START) != START
    is_taken = True
    try:
        is_taken = take_new_disk(door, settings.disk_paths, settings.vault_id, now_ns, known, is_vouched=is_vouched)
    finally:
        if is_taken:
            journal.close()
    return is_taken


def _journal_settings(settings: StoreSettings, disks: Disks, now_ns: Callable[[], int]) -> JournalSettings:
    directories = disks.copy_directories("journal")
    return JournalSettings(directories, settings.vault_id, settings.journal_segment_bytes, now_ns)
