"""Slots as they are kept: their headers, their readable copies, and the proof that gives them out."""

import hmac
from collections.abc import Sequence

from blake3 import blake3

from vaultd.errors import BadRequest, Conflict, Damaged, Unavailable, VaultError, WrongPassword
from vaultd.operations.sealed_headers import SlotHeader, parse_slot
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import SLOT, slot_owner, unwrap
from vaultd.records import Slot


def check_proof(copies: Sequence[Slot], proof: bytes) -> None:
    """The right password fits any one copy: a damaged hash must not turn it into a wrong one."""
    hash_ = blake3(proof).digest()
    # Each copy is compared, so that the time does not say which one fitted.
    if not any([hmac.compare_digest(hash_, copy.proof_hash) for copy in copies]):
        raise WrongPassword("the password or recovery code is wrong")


def slot_headers(vault: Vault, slots: Sequence[Slot]) -> list[SlotHeader]:
    """One header for each slot that reads, from the first copy that does."""
    found: dict[bytes, SlotHeader] = {}
    refused: VaultError | None = None
    for slot in slots:
        if slot.slot_id in found:
            continue
        try:
            found[slot.slot_id] = parse_slot(_unwrap_slot(vault, slot))
        except (Damaged, BadRequest):
            continue
        except (Unavailable, Conflict) as error:
            refused = error
    if refused and not found:
        raise refused
    return list(found.values())


def readable_copies(vault: Vault, slots: Sequence[Slot]) -> list[bytes]:
    """Of one slot."""
    copies = []
    for slot in slots:
        try:
            copies.append(_unwrap_slot(vault, slot))
        except Damaged:
            continue
    if not copies:
        raise Damaged(f"slot {slots[0].slot_id.hex()} cannot be read", "the operator runs: vaultd check")
    return copies


def _unwrap_slot(vault: Vault, slot: Slot) -> bytes:
    return unwrap(vault, [slot_owner(slot.slot_id)], SLOT, slot.slot_id, slot.wrapped)
