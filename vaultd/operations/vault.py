"""The open vault: the frozen record that is the first argument of every use case, and how it opens and closes.

Order of opening: locks of directory and disks, a look through index and catalog by another process, catalog, store (its
journal must hold what the catalog has applied, and is mended), catalog (a lost one from a checkpoint) caught up from
the journal, then recovery of containers and index, which asks the catalog which keys are known; then, after a look at
the time of the journal's last entry, the catalog learns of disks that it did not name. Threads: opening and closing in
one thread, before and after all others.
"""

import errno
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vaultd.catalog.database import Catalog, Position
from vaultd.catalog.distrusted_keys import list_distrusted
from vaultd.catalog.keyrings import is_known_key
from vaultd.catalog.runs import list_active_runs
from vaultd.clock import Clock
from vaultd.config import Config
from vaultd.errors import Damaged, NoSpace, NotFound
from vaultd.operations.authority import KeyPair
from vaultd.operations.barrier import Barrier
from vaultd.operations.collection_book import CollectionBook
from vaultd.operations.erased_slots import finish_erasures, mend_keys
from vaultd.operations.images import newest, set_damaged_aside
from vaultd.operations.known_disks import keep_disks
from vaultd.operations.open_store import Opening, open_store
from vaultd.operations.places import (
    AUTHORITY_FILE,
    AUTHORITY_KEY_FILE,
    CATALOG_DIRECTORY,
    INDEX_DIRECTORY,
    SIGNING_KEY_FILE,
    VAULT_ID_FILE,
    refuse_shared_places,
)
from vaultd.operations.proofs import ProofThrottle
from vaultd.operations.scrub_book import ScrubBook
from vaultd.operations.store_errors import told_in_full, translated
from vaultd.operations.suspects import SuspectBook
from vaultd.operations.tickets import TicketBook
from vaultd.operations.tree_trust import TreeTrust
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Door
from vaultd.store.disks.opening import VaultLock, lock_vault
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.index import checkpoint as checkpoints
from vaultd.store.index.index import Index
from vaultd.store.journal.format import Position as JournalPosition
from vaultd.store.leases import Leases
from vaultd.store.lock_file import write_lock_file
from vaultd.store.recovery.recovery import RecoveryReport
from vaultd.store.store_settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Vault:
    config: Config
    clock: Clock
    door: Door
    lock: VaultLock
    vault_id: bytes
    store: ChunkStore
    catalog: Catalog
    erase_keys: EraseKeys
    signing_key: Ed25519PrivateKey
    authority: KeyPair
    tickets: TicketBook
    proofs: ProofThrottle
    trees: TreeTrust
    suspects: SuspectBook
    leases: Leases
    barrier: Barrier
    collections: CollectionBook
    active_at_start: frozenset[bytes]  # runs
    scrub: ScrubBook
    judged_keys: set[bytes]  # run keys that were tried since the start: each opened, or was given up
    recovery: RecoveryReport
    started_ns: int
    started_seconds: float
    last_entry_ns: int | None  # what the vault's clock said at the last entry before the start, if there was one

    @property
    def uptime_seconds(self) -> float:
        return self.clock.monotonic_seconds() - self.started_seconds

    @property
    def public_key_bytes(self) -> bytes:
        """The Ed25519 key that countersignatures are checked with."""
        return self.signing_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def open_vault(config: Config, clock: Clock, door: Door) -> Vault:
    """Everything that was acknowledged is there when this returns; `recovery` says what is not as it should be."""
    refuse_shared_places(config.directory, config.disks)
    vault_id = read_vault_id(config.directory)
    authority = read_authority(config.directory)
    signing_key = read_signing_key(config.directory)
    with ExitStack() as undo, told_in_full():
        lock = lock_vault(config.directory, config.disks)
        undo.callback(lock.close)
        catalog_path = config.directory / CATALOG_DIRECTORY
        images = [Index.image(config.directory / INDEX_DIRECTORY), Catalog.image(catalog_path)]
        set_aside = set_damaged_aside(door, images)
        _write_lock_files(config.directory)
        catalog = Catalog.open(catalog_path)
        undo.callback(catalog.close)
        applied = JournalPosition(*newest(catalog.position(), set_aside.applied))
        opening = Opening(store_settings(config, vault_id), door, clock, applied)
        store = open_store(undo, lock, catalog, opening)
        with catalog.read() as view:
            distrusted = list(list_distrusted(view))
            store.distrust_keys(distrusted)  # a record that took the place of one of theirs wins
            recovery = store.recover(lambda key_id: is_known_key(view, key_id))
            store.distrust_keys(distrusted)  # of those too that had no record yet
            active_at_start = frozenset(run.run_id for run in list_active_runs(view))
        kept = keep_disks(store, catalog, clock.now_ns())
        erase_keys = EraseKeys.on(door, store.disks)
        mended = finish_erasures(catalog, erase_keys)
        with catalog.read() as view:
            mended += mend_keys(view, erase_keys)
        findings = [*set_aside.findings, *recovery.findings, *filter(None, [kept]), *mended]
        recovery = msgspec.structs.replace(recovery, findings=findings)
        undo.pop_all()
    return Vault(
        config=config,
        clock=clock,
        door=door,
        lock=lock,
        vault_id=vault_id,
        store=store,
        catalog=catalog,
        erase_keys=erase_keys,
        signing_key=signing_key,
        authority=authority,
        tickets=TicketBook(clock),
        proofs=ProofThrottle(clock),
        trees=TreeTrust(),
        suspects=SuspectBook(clock),
        leases=Leases(clock.monotonic_seconds),
        barrier=Barrier(),
        collections=CollectionBook(),
        active_at_start=active_at_start,
        scrub=ScrubBook(),
        judged_keys=set(),
        recovery=recovery,
        started_ns=clock.now_ns(),
        started_seconds=clock.monotonic_seconds(),
        last_entry_ns=store.found_ns,
    )


def close_vault(vault: Vault) -> None:
    """With a checkpoint and what readers noted, unless the store stopped: then the next start recovers first."""
    try:
        if not vault.store.is_broken:
            vault.store.commit()
            write_checkpoint(vault)
    finally:
        vault.catalog.close()
        vault.store.close()
        vault.lock.close()


def write_checkpoint(vault: Vault) -> Position:
    """Writes the whole catalog and the table of containers to the first two disks, those that are here now.

    From a reading thread, one at a time: the catalog's rows and the position are those of one transaction, so commits
    go on meanwhile; what the table of containers says is as old or newer, and durable.
    """
    vault.catalog.require_writable()
    vault.store.look_after_disks()
    with translated(), vault.catalog.read() as view:
        position = view.position()
        header = checkpoints.CheckpointHeader(vault.vault_id, JournalPosition(*position), vault.clock.now_ns())
        rows = chain(view.rows(), checkpoints.container_rows(vault.store.containers()))
        directories = vault.store.disks.copies_here(vault.door, "checkpoints")
        checkpoints.write_checkpoint(vault.door, directories, header, rows, vault.store.reserve_bytes)
    return position


def store_settings(config: Config, vault_id: bytes) -> StoreSettings:
    return StoreSettings(
        index_path=config.directory / INDEX_DIRECTORY,
        disk_paths=config.disks,
        vault_id=vault_id,
        container_bytes=config.container_bytes,
        journal_segment_bytes=config.journal_segment_bytes,
    )


def read_vault_id(directory: Path) -> bytes:
    text = _read(directory / VAULT_ID_FILE).decode("ascii", errors="replace").strip()
    try:
        vault_id = bytes.fromhex(text)
    except ValueError:
        vault_id = b""
    if len(vault_id) != 16:
        raise Damaged(f"{directory / VAULT_ID_FILE} does not hold the 32 hex digits of the vault's id")
    return vault_id


def read_authority(directory: Path) -> KeyPair:
    return KeyPair(_read(directory / AUTHORITY_FILE), _read(directory / AUTHORITY_KEY_FILE))


def read_signing_key(directory: Path) -> Ed25519PrivateKey:
    path = directory / SIGNING_KEY_FILE
    try:
        key = load_pem_private_key(_read(path), password=None)
    except ValueError:
        raise Damaged(f"{path} does not hold a private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Damaged(f"{path} does not hold an Ed25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{path} is missing", "restore it from the operator's copy of the vault's keys") from None


def _write_lock_files(directory: Path) -> None:
    try:
        for name in (INDEX_DIRECTORY, CATALOG_DIRECTORY):
            write_lock_file(directory / name)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(
            f"the file system of {directory} is so full that the vault cannot even be read", "free space there"
        ) from error
