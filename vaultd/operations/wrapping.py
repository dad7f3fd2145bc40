"""Slots, sealed run keys and job secrets at rest: readable only as long as their owner's erase key exists."""

from collections.abc import Collection

from vaultd.errors import Conflict, Damaged, Unavailable
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.errors import KeyUnread, NewerFormat, StoreError

SLOT = "slot"
RUN_KEY = "run_key"
JOB_SECRET = "job_secret"
RESTORE_ORDER = "restore_order"


def job_owner(job_id: bytes) -> Owner:
    """Of a job's secret, of the run keys that it made, and of orders to restore it."""
    return Owner(OwnerKind.job, job_id)


def slot_owner(slot_id: bytes) -> Owner:
    """Each slot has its own, so that an old one can be destroyed where the new one stays."""
    return Owner(OwnerKind.slot, slot_id)


def run_key_owners(job_id: bytes, keyring_id: bytes) -> tuple[Owner, Owner]:
    """That of the job that made the run, or of the keyring where one was wrapped anew before its job was erased."""
    return job_owner(job_id), Owner(OwnerKind.keyring, keyring_id)


def create_erase_key(vault: Vault, owner: Owner) -> None:
    """Durable before anything is wrapped under it; one that is left over from a crash is used."""
    with translated():
        vault.erase_keys.create(owner)


def wrap(vault: Vault, owner: Owner, purpose: str, id_: bytes, plaintext: bytes) -> bytes:
    with translated():
        return vault.erase_keys.wrap(owner, purpose, id_, plaintext)


def unwrap(vault: Vault, owners: Collection[Owner], purpose: str, id_: bytes, wrapped: bytes) -> bytes:
    """Damaged for what does not open; neither what a later version wrote is that, nor what cannot be read now."""
    try:
        return vault.erase_keys.unwrap(owners, purpose, id_, wrapped)
    except NewerFormat as error:
        raise Conflict(str(error)) from error
    except KeyUnread as error:
        raise Unavailable(str(error), "the operator looks at the disks of the vault") from error
    except StoreError as error:
        raise Damaged(f"{purpose} {id_.hex()} cannot be read: {error}") from error
