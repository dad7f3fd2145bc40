"""Keeping what an agent made for a job: the keyring's public facts and its slots, each in two copies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vaultd.catalog.database import View
from vaultd.catalog.jobs import is_owned, remove_secret, update_job
from vaultd.catalog.keyrings import SLOT_COPIES, read_keyring, save_keyring, save_slot
from vaultd.errors import BadRequest, Conflict
from vaultd.operations import ledger
from vaultd.operations.access import own_job
from vaultd.operations.sealed_headers import PASSWORD_SLOT, PUBLIC_KEY_BYTES, parse_slot
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import SLOT, create_erase_key, slot_owner, wrap
from vaultd.records import NO_ID, Change, Identity, Keyring, Slot
from vaultd.store.journal.format import EntryKind

SLOTS_MAX = 8
PROOF_HASH_BYTES = 32
SUITES = (1, 2)


@dataclass(frozen=True, slots=True)
class NewSlot:
    slot: bytes
    proof_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKeyring:
    job_id: bytes
    keyring_id: bytes
    generation: int
    kem: int
    public_key: bytes
    minimum_suite: int
    signing_key: bytes
    slots: tuple[NewSlot, ...]


def create(vault: Vault, identity: Identity, new: NewKeyring) -> None:
    """W. Keeps the keyring and lets the job's secret go; a repeat of the same keyring changes nothing."""
    with vault.catalog.read() as view:
        job = own_job(view, identity, new.job_id)
        keyring = _row(vault, identity, new)
        if job.keyring_id != NO_ID:
            known = read_keyring(view, identity.account_id, job.keyring_id)
            is_same = known is not None and msgspec.structs.replace(keyring, created_ns=known.created_ns) == known
            if is_same and job.signing_key == new.signing_key:
                return
            raise Conflict(f"job {job.name!r} has a keyring already")
        if new.keyring_id == NO_ID or is_owned(view, new.keyring_id):
            raise Conflict(f"keyring_id {new.keyring_id.hex()} cannot be used", "draw a new random id")
        _check_keyring(new)
        slots = checked_slots(view, new.keyring_id, new.generation, new.slots)
    changes = [
        *save_keyring(keyring),
        *slot_changes(vault, keyring, slots),
        *update_job(msgspec.structs.replace(job, keyring_id=new.keyring_id, signing_key=new.signing_key)),
        *remove_secret(job),
    ]
    ledger.record(vault, changes, EntryKind.slot, keyring=new.keyring_id)


def _row(vault: Vault, identity: Identity, new: NewKeyring) -> Keyring:
    return Keyring(
        keyring_id=new.keyring_id,
        account_id=identity.account_id,
        generation=new.generation,
        kem=new.kem,
        public_key=new.public_key,
        minimum_suite=new.minimum_suite,
        created_ns=vault.clock.now_ns(),
    )


def _check_keyring(new: NewKeyring) -> None:
    check_generation(new.kem, new.public_key, new.minimum_suite)
    if new.generation != 1:
        raise BadRequest(f"generation of a new keyring must be 1, not {new.generation}")
    check_signing_key(new.signing_key)


def check_generation(kem: int, public_key: bytes, minimum_suite: int) -> None:
    if kem not in PUBLIC_KEY_BYTES:
        raise BadRequest(f"kem {kem} is unknown")
    if len(public_key) != PUBLIC_KEY_BYTES[kem]:
        raise BadRequest(f"public_key must have {PUBLIC_KEY_BYTES[kem]} bytes, not {len(public_key)}")
    if minimum_suite not in SUITES:
        raise BadRequest(f"minimum_suite {minimum_suite} is unknown")


def check_signing_key(signing_key: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(signing_key)
    except ValueError:
        raise BadRequest("signing_key is not an Ed25519 public key") from None


def checked_slots(view: View, keyring_id: bytes, generation: int, slots: Sequence[NewSlot]) -> dict[bytes, NewSlot]:
    """By id. An id of anyone else would name an erase key that is not this slot's: destroying one would hit both."""
    if not 1 <= len(slots) <= SLOTS_MAX:
        raise BadRequest(f"slots must be 1 to {SLOTS_MAX}, not {len(slots)}")
    found: dict[bytes, NewSlot] = {}
    kinds: set[int] = set()
    for slot in slots:
        header = parse_slot(slot.slot)
        if header.keyring_id != keyring_id or header.generation != generation:
            raise BadRequest("slot: keyring or generation is not that of the keyring it is sent with")
        if header.slot_id in found:
            raise BadRequest(f"slot: slot {header.slot_id.hex()} is there twice")
        if header.slot_id in (NO_ID, keyring_id) or is_owned(view, header.slot_id):
            raise Conflict(f"slot: slot_id {header.slot_id.hex()} cannot be used", "draw a new random id")
        if len(slot.proof_hash) != PROOF_HASH_BYTES:
            raise BadRequest(f"proof_hash must have {PROOF_HASH_BYTES} bytes, not {len(slot.proof_hash)}")
        found[header.slot_id] = slot
        kinds.add(header.kind)
    if PASSWORD_SLOT not in kinds:
        raise BadRequest("slots: one must be a password slot (kind 1)")
    return found


def slot_changes(vault: Vault, keyring: Keyring, slots: dict[bytes, NewSlot]) -> list[Change]:
    """Each erase key is durable before its slot is wrapped."""
    changes: list[Change] = []
    for slot_id, slot in slots.items():
        create_erase_key(vault, slot_owner(slot_id))
        changes += save_slot(keyring, [_copy(vault, slot_id, slot) for _ in range(SLOT_COPIES)])
    return changes


def _copy(vault: Vault, slot_id: bytes, slot: NewSlot) -> Slot:
    return Slot(slot_id, wrap(vault, slot_owner(slot_id), SLOT, slot_id, slot.slot), slot.proof_hash)
