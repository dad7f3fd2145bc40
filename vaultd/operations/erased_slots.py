"""Slots that others took the place of: their erase keys are destroyed after the catalog says so, and at each start.

What is to be destroyed is a row of the catalog, never concluded from what is not there: a catalog from an older journal
would lack slots whose keys are still needed. The rows stay, for a disk may bring a copy of a key back.
"""

from vaultd.catalog.database import Catalog, View
from vaultd.catalog.keyrings import list_erased_slot_ids
from vaultd.catalog.owners import list_owners
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding, Severity


def finish_erasures(catalog: Catalog, erase_keys: EraseKeys) -> list[Finding]:
    """What a crash left over, before anybody may ask. A vault that cannot write a key over opens all the same."""
    with catalog.read() as view:
        slot_ids = list_erased_slot_ids(view)
    findings = []
    for slot_id in slot_ids:
        owner = Owner(OwnerKind.slot, slot_id)
        try:
            erase_keys.destroy(owner)
        except (OSError, StoreError) as error:
            sentence = f"the erase key of {owner.name}, which is to be destroyed, cannot be written over: {error}"
            findings.append(Finding(Severity.warning, f"erase key {slot_id.hex()}", sentence))
    return findings


def mend_keys(view: View, erase_keys: EraseKeys) -> list[Finding]:
    """Both copies of every key. A mark on a disk alone destroys nothing that the catalog has."""
    return erase_keys.mend(key_owners(view))


def key_owners(view: View) -> frozenset[Owner]:
    """Whose keys no mark erases."""
    return frozenset(Owner(OwnerKind[kind], owner_id) for kind, owner_id in list_owners(view))
