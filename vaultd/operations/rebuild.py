"""Index and catalog made anew from containers, journal and checkpoint, beside the old ones.

Invariants: an old image stays in its place until the new ones are whole and durable, so a rebuild that fails or is
killed leaves what was there. A journal that lacks what an old image has applied, also one that a start set aside, is
refused, and so is a disk that is away and holds records which the old index knows. A catalog that stays is believed
only where nothing is wrong with it: a record whose key it does not know is left out. What a rebuild left that was
killed is never continued or believed.
Threads: one.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.catalog.database import Catalog
from vaultd.catalog.keyrings import is_known_key
from vaultd.clock import Clock
from vaultd.config import Config
from vaultd.errors import Conflict, Damaged, Internal, NoSpace, Unavailable, VaultError
from vaultd.image.probe import find_fault
from vaultd.operations.erased_slots import mend_keys
from vaultd.operations.old_images import OldImages, look_at_catalog, look_at_index, look_at_kept, together
from vaultd.operations.open_store import Opening, is_in_journal, open_store
from vaultd.operations.places import (
    CATALOG_DIRECTORY,
    INDEX_DIRECTORY,
    NEW_SUFFIX,
    OLD_SUFFIX,
    refuse_shared_places,
    require_image,
)
from vaultd.operations.rebuild_hits import find_hits
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import (
    read_authority,
    read_signing_key,
    read_vault_id,
    store_settings,
)
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.opening import VaultLock, lock_vault
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.errors import StoreBroken
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Tell
from vaultd.store.journal.format import Position as JournalPosition

LMDB_WORD = "mdb_"  # in every error of LMDB
ROOM_BYTES = 1024 * 1024
UNTOUCHED = "index and catalog are as they were"
INDEX_UNTOUCHED = "the index is as it was"  # a catalog that stays was brought up to date perhaps, as a start does it
_COUNTED = ("accounts", "computers", "jobs", "safesets", "keyrings", "slots", "run_keys")


class RebuildCounts(Struct, frozen=True):
    """What the new images hold; `slots` counts both copies, `container_bytes` acknowledged lengths."""

    accounts: int
    computers: int
    jobs: int
    safesets: int
    keyrings: int
    slots: int
    run_keys: int
    containers: int
    records_in_index: int
    container_bytes: int
    records_without_key: int


class RebuildReport(Struct, frozen=True):
    counts: RebuildCounts
    findings: list[Finding]
    offline: list[str]
    containers_lost: int  # on disks that are lost: a rebuild cannot read them any more

    @property
    def is_damaged(self) -> bool:
        return _is_damage_in(self.findings)


def _is_damage_in(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is Severity.damage for finding in findings)


def rebuild_vault(config: Config, clock: Clock, door: Door, tell: Tell, *, index_only: bool) -> RebuildReport:
    """Refused while a daemon runs on the directory."""
    refuse_shared_places(config.directory, config.disks)
    vault_id = read_vault_id(config.directory)
    read_authority(config.directory)
    read_signing_key(config.directory)
    with ExitStack() as cleanup:
        with translated():
            lock = lock_vault(config.directory, config.disks)
            cleanup.callback(lock.close)
        rebuild = _Rebuild(config, clock, door, vault_id, index_only=index_only)
        with _says_what_is_left(INDEX_UNTOUCHED if index_only else UNTOUCHED, config.directory):
            report = rebuild.make(lock, tell)
        rebuild.take_places()
    return report


class _Rebuild:
    def __init__(self, config: Config, clock: Clock, door: Door, vault_id: bytes, *, index_only: bool) -> None:
        self._config = config
        self._clock = clock
        self._door = door
        self._vault_id = vault_id
        self._names = [INDEX_DIRECTORY] if index_only else [INDEX_DIRECTORY, CATALOG_DIRECTORY]

    def make(self, lock: VaultLock, tell: Tell) -> RebuildReport:
        """The new images, whole and durable, beside the old ones."""
        for name in self._names:
            _require_no_mount(self._place(name))
        self._require_images()
        old = self._look_at_old()
        self._remove_all(NEW_SUFFIX)
        try:
            return self._make(lock, old, tell)
        except BaseException as error:
            try:
                self._require_room(error)
            finally:
                self._remove_all(NEW_SUFFIX)
            raise

    def take_places(self) -> None:
        """A crash between two of these leaves each image old, new or missing; the next start makes a missing one."""
        self._require_images()
        for name in self._names:
            place, old = self._place(name), self._place(name, OLD_SUFFIX)
            _remove(old)  # of a rebuild that was killed
            if self._door.exists(place):
                self._door.rename(place, old)
            self._door.rename(self._place(name, NEW_SUFFIX), place)
            self._door.fsync_directory(place.parent)
        self._remove_all(OLD_SUFFIX)

    def _require_images(self) -> None:
        """Of all of them, before the first is touched."""
        for name in self._names:
            for suffix in ("", NEW_SUFFIX, OLD_SUFFIX):
                require_image(self._place(name, suffix))

    def _look_at_old(self) -> OldImages:
        """Also what a rebuild that was killed had put aside, and what a start had."""
        index = look_at_index([self._place(INDEX_DIRECTORY, suffix) for suffix in ("", OLD_SUFFIX)])
        catalog = look_at_catalog([self._place(CATALOG_DIRECTORY, suffix) for suffix in ("", OLD_SUFFIX)])
        path = self._place(CATALOG_DIRECTORY)
        if CATALOG_DIRECTORY not in self._names and (fault := find_fault(Catalog.image(path))):
            raise Damaged(f"{path} is damaged ({fault})", "run `vaultd rebuild` without --index-only")
        directory = self._config.directory  # a link is set aside itself
        images = [Index.image(directory / INDEX_DIRECTORY), Catalog.image(directory / CATALOG_DIRECTORY)]
        return together(index, catalog, look_at_kept(self._door, images))

    def _make(self, lock: VaultLock, old: OldImages, tell: Tell) -> RebuildReport:
        """As a start does it, with images that are new; everything of them is durable when this returns."""
        index_path = self._place(INDEX_DIRECTORY, NEW_SUFFIX)
        settings = msgspec.structs.replace(store_settings(self._config, self._vault_id), index_path=index_path)
        catalog_path = self._place(CATALOG_DIRECTORY, NEW_SUFFIX if CATALOG_DIRECTORY in self._names else "")
        with ExitStack() as cleanup:
            catalog = Catalog.open(catalog_path)
            cleanup.callback(catalog.close)
            opening = Opening(settings, self._door, self._clock, JournalPosition(*old.applied), old.who)
            store = open_store(cleanup, lock, catalog, opening)
            _require_disks(old, store.disks)
            _require_history(store, old)
            with catalog.read() as view:
                recovery = store.recover(lambda key_id: is_known_key(view, key_id), tell)
                rows = {table: view.count(table) for table in _COUNTED}
                # As a start does it: a disk that is new here has a copy of what the other one has when this returns.
                findings = [*recovery.findings, *mend_keys(view, EraseKeys.on(self._door, store.disks))]
                lost = sum(store.disks.is_given_up(row.disk_id) for row in store.containers())
                is_damaged = _is_damage_in(findings)
                if lost or recovery.records_without_key or is_damaged:
                    severity = Severity.damage if is_damaged else Severity.warning  # what was declared lost is no news
                    findings += find_hits(view, store, severity)
            kept = store.statistics()
            counts = RebuildCounts(
                **rows,
                containers=kept.containers,
                records_in_index=kept.records,
                container_bytes=kept.record_bytes,
                records_without_key=recovery.records_without_key,
            )
        for path in (index_path, catalog_path):
            self._door.fsync_directory(path)
        return RebuildReport(counts, findings, kept.offline, lost)

    def _require_room(self, error: BaseException) -> None:
        """Asked while the new images are still there: LMDB calls a write that was cut short an input/output error."""
        free = min(self._door.space(self._place(name).parent)[1] for name in self._names)
        if LMDB_WORD in str(error) and free < ROOM_BYTES:
            sentence = f"{self._config.directory} has no room for new images beside the old ones"
            raise NoSpace(sentence, "make room, or move DIR/index to another file system first") from error

    def _remove_all(self, suffix: str) -> None:
        for name in self._names:
            _remove(self._place(name, suffix))

    def _place(self, name: str, suffix: str = "") -> Path:
        """Beside the image itself where DIR has a link to it: a name is only given within one file system."""
        place = (self._config.directory / name).resolve()
        return place.with_name(place.name + suffix)


def _require_no_mount(place: Path) -> None:
    if place.is_mount():
        raise Conflict(
            f"{place} is a mount point: nothing can take its place",
            "make it a link to a directory on that file system; or remove what is in it: the next start makes it anew",
        )


def _require_disks(old: OldImages, disks: Disks) -> None:
    """Only an index that was made before a disk went away knows what lies on it: without it that counts as missing."""
    held = [disk_id for disk_id in old.disk_ids if disks.find_id(disk_id) is None and not disks.is_given_up(disk_id)]
    if disks.is_any_away and held:
        names = ", ".join(disks.paths_away)
        raise Unavailable(
            f"a disk is offline ({names}), and the index alone knows which records lie on it: a new one would not",
            "bring the disk back or let another one take its place; to go on without it, move DIR/index away first",
        )


def _require_history(store: ChunkStore, old: OldImages) -> None:
    """Where a disk is away the journal that the old images belong to may lie on it."""
    if store.disks.is_any_away and not is_in_journal(store, old.applied, old.who):
        raise Damaged(
            f"the {old.who} does not belong to the journal that is here: entry {old.applied.number} differs",
            "bring the disk that is offline back: it may have the journal that the vault went on with",
        )


@contextmanager
def _says_what_is_left(left: str, directory: Path) -> Iterator[None]:
    """Whatever went wrong, nothing of the old images is lost."""
    try:
        with translated():
            yield
    except VaultError as error:
        told = _as_of_a_rebuild(error)
        hint = f"{told.hint}; " if told.hint else ""
        raise type(told)(told.message, f"{hint}{left} in {directory}") from error


def _as_of_a_rebuild(error: VaultError) -> VaultError:
    """Journal or containers that nothing can be made from are damage; what cannot be written is an image."""
    cause = error.__cause__
    if isinstance(error, Internal):
        return Damaged(error.message)
    if isinstance(error, Unavailable) and isinstance(cause, StoreBroken):
        return Unavailable(f"the new images cannot be written: {cause}", "look at the disk")
    return error


def _remove(path: Path) -> None:
    if path.exists():
        require_image(path)
        shutil.rmtree(path)
