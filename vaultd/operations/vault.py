"""The open vault: the frozen record that is the first argument of every use case, and how it opens and closes.

Order of opening: lock, catalog, store (its journal must hold what the catalog has applied, and is mended), catalog
caught up from the journal, then recovery of containers and index, which asks the catalog which keys are known.
Threads: opening and closing in one thread, before and after all others.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vaultd.catalog.database import START, Catalog, Position
from vaultd.catalog.keyrings import is_known_key
from vaultd.clock import Clock
from vaultd.config import Config
from vaultd.errors import Damaged, NotFound, VaultError
from vaultd.operations.authority import KeyPair
from vaultd.operations.proofs import ProofThrottle
from vaultd.operations.store_errors import translated
from vaultd.operations.tickets import TicketBook
from vaultd.operations.tree_trust import TreeTrust
from vaultd.records import Change
from vaultd.store import checkpoint as checkpoints
from vaultd.store.chunk_store import ChunkStore, RecoveryReport, StoreSettings
from vaultd.store.disk_door import Door
from vaultd.store.disks import DirectoryLock, lock_directory
from vaultd.store.erase_keys import EraseKeys
from vaultd.store.journal_format import Position as JournalPosition

VAULT_ID_FILE = "vault.id"
SIGNING_KEY_FILE = "signing.key"
AUTHORITY_FILE = "authority.pem"
AUTHORITY_KEY_FILE = "authority.key"
SERVER_FILE = "server.pem"
SERVER_KEY_FILE = "server.key"
INDEX_DIRECTORY = "index"
CATALOG_DIRECTORY = "catalog"


@dataclass(frozen=True, slots=True)
class Vault:
    config: Config
    clock: Clock
    door: Door
    lock: DirectoryLock
    vault_id: bytes
    store: ChunkStore
    catalog: Catalog
    erase_keys: EraseKeys
    signing_key: Ed25519PrivateKey
    authority: KeyPair
    tickets: TicketBook
    proofs: ProofThrottle
    trees: TreeTrust
    recovery: RecoveryReport
    started_ns: int

    @property
    def public_key_bytes(self) -> bytes:
        """The Ed25519 key that countersignatures are checked with."""
        return self.signing_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def open_vault(config: Config, clock: Clock, door: Door) -> Vault:
    """Everything that was acknowledged is there when this returns; `recovery` says what is not as it should be."""
    vault_id = read_vault_id(config.directory)
    authority = read_authority(config.directory)
    signing_key = read_signing_key(config.directory)
    with ExitStack() as undo, translated():
        lock = lock_directory(config.directory)
        undo.callback(lock.close)
        catalog = Catalog.open(config.directory / CATALOG_DIRECTORY)
        undo.callback(catalog.close)
        applied = JournalPosition(*catalog.position())
        store = ChunkStore.open(store_settings(config, vault_id), door, clock.now_ns, applied)
        undo.callback(store.close)
        catalog.catch_up(_entries_after(store, catalog.position()))
        with catalog.read() as view:
            recovery = store.recover(lambda key_id: is_known_key(view, key_id))
        erase_keys = EraseKeys(door, store.disks.copy_directories("erase-keys"))
        recovery = msgspec.structs.replace(recovery, findings=[*recovery.findings, *erase_keys.mend()])
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
        recovery=recovery,
        started_ns=clock.now_ns(),
    )


def close_vault(vault: Vault) -> None:
    """With a checkpoint, unless the store stopped: then the next start recovers first."""
    try:
        if not vault.store.is_broken:
            write_checkpoint(vault)
    finally:
        vault.catalog.close()
        vault.store.close()
        vault.lock.close()


def write_checkpoint(vault: Vault) -> Position:
    """W. Writes the whole catalog and the table of containers to the first two disks."""
    vault.catalog.require_writable()
    with translated():
        position = vault.store.position
        header = checkpoints.CheckpointHeader(vault.vault_id, position, vault.clock.now_ns())
        catalog = ((table, key, value) for table, key, value in vault.catalog.rows() if value is not None)
        rows = chain(catalog, checkpoints.container_rows(vault.store.containers()))
        checkpoints.write_checkpoint(vault.door, vault.store.disks.copy_directories("checkpoints"), header, rows)
    return Position(*position)


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


def _entries_after(store: ChunkStore, position: Position) -> Iterator[tuple[Position, list[Change]]]:
    """Journal entries after the catalog's position, which the journal holds; one from another journal is refused."""
    timeline = store.position.timeline
    for number, hash_, entry in store.replay(max(position.number - 1, 0)):
        if number > position.number:
            yield Position(timeline, number, hash_), list(entry.changes)
        elif position != START and hash_ != position.hash:
            raise _foreign_catalog(number)


def _foreign_catalog(number: int) -> VaultError:
    return Damaged(
        f"the catalog does not belong to this journal: entry {number} differs",
        "move DIR/catalog away: it is made again from the journal",
    )
