"""Who has an erase key that is still needed: whatever has a row, from the keys alone, so that a damaged row counts."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.records import NO_ID

# How many ids are before the owner's own in the key of its row.
_TABLES = {"job": ("jobs", 1), "keyring": ("keyrings", 1), "slot": ("slots", 2)}


def list_owners(view: View) -> Iterator[tuple[str, bytes]]:
    """(kind, id); a slot once for each of its copies."""
    for kind, (table, before) in _TABLES.items():
        start = before * len(NO_ID)
        for key in view.keys(table):
            yield kind, key[start : start + len(NO_ID)]
