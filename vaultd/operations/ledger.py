"""The only way to change the vault: containers and journal first, then the catalog, then whoever waits is answered.

One use case is one journal entry, so that its changes reach the catalog together or not at all. Threads: the writer
thread only.
"""

from collections.abc import Sequence
from typing import Any

from vaultd.catalog.database import Position
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Change
from vaultd.store.journal.format import EntryKind, JournalEntry


def write(vault: Vault, entries: Sequence[JournalEntry] = ()) -> Position:
    """Everything appended to the store, and the entries, are durable and in the catalog when this returns."""
    vault.catalog.require_writable()
    with translated():
        position = Position(*vault.store.commit(entries))
    changes = [change for entry in entries for change in entry.changes]
    if changes:
        vault.catalog.apply(changes, position)
    return position


def record(vault: Vault, changes: Sequence[Change], kind: EntryKind = EntryKind.catalog, **details: Any) -> Position:
    """One use case as one entry."""
    return write(vault, [JournalEntry(kind, details, list(changes))])
