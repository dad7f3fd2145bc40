"""Slots, sealed run keys and job secrets at rest: readable only as long as the job's erase key exists."""

from vaultd.errors import Damaged
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.store.erase_keys import Owner, OwnerKind
from vaultd.store.errors import StoreError

SLOT = "slot"
RUN_KEY = "run_key"
JOB_SECRET = "job_secret"


def create_erase_key(vault: Vault, job_id: bytes) -> None:
    """Durable before anything is wrapped under it; one that is left over from a crash is used."""
    with translated():
        vault.erase_keys.create(Owner(OwnerKind.job, job_id))


def wrap(vault: Vault, job_id: bytes, purpose: str, id_: bytes, plaintext: bytes) -> bytes:
    with translated():
        return vault.erase_keys.wrap(Owner(OwnerKind.job, job_id), purpose, id_, plaintext)


def unwrap(vault: Vault, job_id: bytes, purpose: str, id_: bytes, wrapped: bytes) -> bytes:
    try:
        return vault.erase_keys.unwrap(Owner(OwnerKind.job, job_id), purpose, id_, wrapped)
    except StoreError as error:
        raise Damaged(f"{purpose} {id_.hex()} cannot be read: {error}") from error
