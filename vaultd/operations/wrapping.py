"""Slots, sealed run keys and job secrets at rest: readable only as long as their owner's erase key exists."""

from vaultd.errors import Damaged
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Keyring
from vaultd.store.erase_keys import Owner, OwnerKind
from vaultd.store.errors import StoreError

SLOT = "slot"
RUN_KEY = "run_key"
JOB_SECRET = "job_secret"


def job_owner(job_id: bytes) -> Owner:
    """Of a job's secret and of the run keys that it made."""
    return Owner(OwnerKind.job, job_id)


def slot_owner(keyring: Keyring) -> Owner:
    return Owner(OwnerKind(keyring.erase_owner_kind), keyring.erase_owner_id)


def create_erase_key(vault: Vault, owner: Owner) -> None:
    """Durable before anything is wrapped under it; one that is left over from a crash is used."""
    with translated():
        vault.erase_keys.create(owner)


def wrap(vault: Vault, owner: Owner, purpose: str, id_: bytes, plaintext: bytes) -> bytes:
    with translated():
        return vault.erase_keys.wrap(owner, purpose, id_, plaintext)


def unwrap(vault: Vault, owner: Owner, purpose: str, id_: bytes, wrapped: bytes) -> bytes:
    try:
        return vault.erase_keys.unwrap(owner, purpose, id_, wrapped)
    except StoreError as error:
        raise Damaged(f"{purpose} {id_.hex()} cannot be read: {error}") from error
