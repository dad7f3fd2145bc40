"""Whether the vault's clock is doubted: one row, of the jump that was found last."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, ClockDoubt

_KEY = b"newest"


def save_doubt(doubt: ClockDoubt) -> list[Change]:
    return [put("clock_doubts", _KEY, doubt)]


def read_doubt(view: View) -> ClockDoubt | None:
    return read(view, "clock_doubts", _KEY, ClockDoubt)
