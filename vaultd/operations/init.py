"""Making a new vault directory: keys, certificates, disks, catalog, and the first operator.

Invariant: `vault.toml` is written last, so a directory without it is no vault, whatever stopped the making of it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaultd.catalog.credentials import save_identity
from vaultd.clock import Clock
from vaultd.config import CONFIG_FILE, Config
from vaultd.errors import Conflict
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.authority import create_authority, issue_server
from vaultd.operations.places import (
    AUTHORITY_FILE,
    AUTHORITY_KEY_FILE,
    SERVER_FILE,
    SERVER_KEY_FILE,
    SIGNING_KEY_FILE,
    VAULT_ID_FILE,
    refuse_shared_places,
)
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import close_vault, open_vault, store_settings
from vaultd.records import NO_ID, Identity, Role
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Door
from vaultd.store.disks.opening import LOST_AND_FOUND

TOKEN_BYTES = 32
PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class Initialised:
    vault_id: bytes
    authority_pem: str
    operator_token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InitRequest:
    """`config_text` becomes vault.toml as it is; `hosts` are the names and addresses in the server's certificate."""

    config: Config
    config_text: str
    hosts: Sequence[str]
    vault_id: bytes = field(default_factory=lambda: os.urandom(16))


def init_vault(request: InitRequest, clock: Clock, door: Door) -> Initialised:
    """A vault that `open_vault` opens; the operator's token is told once."""
    config = request.config
    refuse_shared_places(config.directory, config.disks)
    _refuse_existing(config)
    config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for disk in config.disks:
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault_id = request.vault_id
    authority_pem = _write_keys(request, clock.now_ns())
    with translated():
        ChunkStore.create(store_settings(config, vault_id), door, clock.now_ns).close()
    token = create_operator(config, clock, door)
    _write(config.directory / CONFIG_FILE, request.config_text.encode(), PUBLIC)
    _sync_directory(config.directory)
    return Initialised(vault_id, authority_pem.decode(), token)


def _refuse_existing(config: Config) -> None:
    for path in (config.directory / CONFIG_FILE, config.directory / VAULT_ID_FILE):
        if path.exists():
            raise Conflict(f"{path} exists already", "choose an empty directory")
    for disk in config.disks:
        if disk.exists() and {path.name for path in disk.iterdir()} - {LOST_AND_FOUND}:
            raise Conflict(f"{disk} is not empty", "choose an empty directory for each disk")


def _write_keys(request: InitRequest, now_ns: int) -> bytes:
    directory = request.config.directory
    authority = create_authority(request.config.name, now_ns)
    server = issue_server(authority, request.hosts, now_ns)
    signing_key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(directory / VAULT_ID_FILE, request.vault_id.hex().encode() + b"\n", PUBLIC)
    _write(directory / SIGNING_KEY_FILE, signing_key, PRIVATE)
    _write(directory / AUTHORITY_KEY_FILE, authority.key_pem, PRIVATE)
    _write(directory / AUTHORITY_FILE, authority.certificate_pem, PUBLIC)
    _write(directory / SERVER_KEY_FILE, server.key_pem, PRIVATE)
    _write(directory / SERVER_FILE, server.certificate_pem, PUBLIC)
    return authority.certificate_pem


def create_operator(config: Config, clock: Clock, door: Door) -> bytes:
    """One more operator of a vault that is not running; returns the token."""
    vault = open_vault(config, clock, door)
    try:
        token = os.urandom(TOKEN_BYTES)
        operator = Identity(os.urandom(16), NO_ID, Role.OPERATOR, "operator")
        with vault.catalog.read() as view:
            audit = audited(vault, view, operator, "init", config.name)
        ledger.record(vault, [*save_identity(operator, token), *audit])
    finally:
        close_vault(vault)
    return token


def _write(path: Path, data: bytes, mode: int) -> None:
    """A new file, durable; never over an existing one. It is there whole or not at all when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
