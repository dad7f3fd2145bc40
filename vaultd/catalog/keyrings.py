"""Keyrings with the two copies of each slot, and the sealed run keys."""

from collections.abc import Iterator, Sequence

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.errors import Damaged
from vaultd.records import NO_ID, Change, ErasedSlot, Keyring, RunKey, Slot

SLOT_COPIES = 2


def save_keyring(keyring: Keyring) -> list[Change]:
    return [
        put("keyrings", keyring.account_id + keyring.keyring_id, keyring),
        ("owners", keyring.keyring_id, keyring.account_id),
    ]


def read_keyring(view: View, account_id: bytes, keyring_id: bytes) -> Keyring | None:
    return read(view, "keyrings", account_id + keyring_id, Keyring)


def save_slot(keyring: Keyring, copies: Sequence[Slot]) -> list[Change]:
    """The copies of one slot, each under a key of its own."""
    owner = keyring.account_id + keyring.keyring_id
    rows = [put("slots", owner + slot.slot_id + bytes([copy]), slot) for copy, slot in enumerate(copies)]
    return [*rows, ("owners", copies[0].slot_id, keyring.account_id)]


def list_slots(view: View, account_id: bytes, keyring_id: bytes, slot_id: bytes = b"") -> Iterator[Slot]:
    """Every copy of every slot, or of the one slot; a slot's copies follow one another. A row that does not decode is
    left out, for its other copy is there; it is an error only where nothing decodes.
    """
    damaged: Damaged | None = None
    decoded = 0
    for key, value in view.scan("slots", account_id + keyring_id + slot_id):
        try:
            slot = decode("slots", key, value, Slot)
        except Damaged as error:
            damaged = error
            continue
        decoded += 1
        yield slot
    if damaged is not None and not decoded:
        raise damaged


def list_slot_ids(view: View, account_id: bytes, keyring_id: bytes) -> list[bytes]:
    """From the keys alone: also of slots whose rows do not decode."""
    owner = account_id + keyring_id
    return list(dict.fromkeys(key[len(owner) : -1] for key, _ in view.scan("slots", owner)))


def erase_slot(keyring: Keyring, slot_id: bytes, now_ns: int) -> list[Change]:
    """Its copies go; that it was erased stays, and its id stays taken."""
    owner = keyring.account_id + keyring.keyring_id + slot_id
    copies: list[Change] = [("slots", owner + bytes([copy]), None) for copy in range(SLOT_COPIES)]
    return [*copies, put("erased_slots", owner, ErasedSlot(slot_id, now_ns))]


def list_erased_slot_ids(view: View, owner: bytes = b"") -> list[bytes]:
    """From the keys alone; of all keyrings, or of the one whose account and id are the `owner`."""
    return [key[2 * len(NO_ID) :] for key, _ in view.scan("erased_slots", owner)]


def save_run_key(account_id: bytes, keyring_id: bytes, run_key: RunKey) -> list[Change]:
    owner = account_id + keyring_id
    return [put("run_keys", owner + run_key.key_id, run_key), ("run_key_owners", run_key.key_id, owner)]


def remove_run_key(account_id: bytes, keyring_id: bytes, key_id: bytes) -> list[Change]:
    return [("run_keys", account_id + keyring_id + key_id, None), ("run_key_owners", key_id, None)]


def read_run_key(view: View, account_id: bytes, keyring_id: bytes, key_id: bytes) -> RunKey | None:
    return read(view, "run_keys", account_id + keyring_id + key_id, RunKey)


def find_run_key(view: View, keyring_id: bytes, key_id: bytes) -> RunKey | None:
    """Of whatever account the keyring is: for the operator's own look at the vault."""
    owner = view.get("run_key_owners", key_id)
    if owner is None or owner[len(NO_ID) :] != keyring_id:
        return None
    return read(view, "run_keys", owner + key_id, RunKey)


def list_run_key_ids(view: View, account_id: bytes, keyring_id: bytes, start: bytes = b"") -> Iterator[bytes]:
    """From the keys alone, in their order, none below `start`."""
    owner = account_id + keyring_id
    for key, _ in view.scan("run_keys", owner, start):
        yield key[len(owner) :]


def list_run_keys(view: View, account_id: bytes, keyring_id: bytes, start: bytes = b"") -> Iterator[RunKey]:
    """By their ids, none of which is below `start`."""
    for key, value in view.scan("run_keys", account_id + keyring_id, start):
        yield decode("run_keys", key, value, RunKey)


def is_known_key(view: View, key_id: bytes) -> bool:
    """Whether records under this key count as present; a companion's key is zero and always known."""
    return key_id == NO_ID or view.get("run_key_owners", key_id) is not None
