"""Which safesets use a record that is damaged or lost, as far as the vault has met it."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.catalog.safesets import safeset_key
from vaultd.records import Change, DamagedSafeset, Safeset

_TABLE = "damaged_safesets"


def mark_damaged(safeset_key: bytes, row: DamagedSafeset) -> Change:
    """The key is that of the safeset's own row."""
    return put(_TABLE, safeset_key, row)


def mark_whole(safeset_key: bytes) -> Change:
    return _TABLE, safeset_key, None


def read_damage(view: View, safeset_key: bytes) -> DamagedSafeset | None:
    return read(view, _TABLE, safeset_key, DamagedSafeset)


def is_damaged(view: View, account_id: bytes, safeset: Safeset) -> bool:
    return view.get(_TABLE, safeset_key(account_id, safeset)) is not None


def list_damaged(view: View, after: bytes = b"") -> Iterator[tuple[bytes, DamagedSafeset]]:
    """Of the whole vault, by the keys of the safesets; those behind a key, if one is given."""
    for key, value in view.scan(_TABLE, start=after and after + b"\0"):
        yield key, decode(_TABLE, key, value, DamagedSafeset)


def count_damaged(view: View) -> int:
    return view.count(_TABLE)
