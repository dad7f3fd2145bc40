"""Passes of the scrub through all containers: the one that goes on and the last one that ended, a row each."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, Row

_TABLE = "scrub_passes"
_NOW, _LAST = b"now", b"last"


class ScrubPass(Row, frozen=True):
    """`next_container` is read next, `last_container` ends it: what came later is for the next pass. `is_asked`: an
    operator asked for it, so it does not wait. `places_damaged` are no records; `records_unused` are damaged and no row
    of the index leads to them; `alarms`: bytes that read well the second time; `unread`: containers out of reach.
    """

    number: int
    begin_ns: int
    is_asked: bool
    next_container: int
    last_container: int
    containers: int = 0
    bytes: int = 0
    records: int = 0
    records_damaged: int = 0
    places_damaged: int = 0
    records_unused: int = 0
    alarms: int = 0
    unread: int = 0
    ended_ns: int = 0


def save_pass(going: ScrubPass) -> list[Change]:
    return [put(_TABLE, _NOW, going)]


def end_pass(ended: ScrubPass) -> list[Change]:
    return [put(_TABLE, _LAST, ended), (_TABLE, _NOW, None)]


def read_pass(view: View) -> ScrubPass | None:
    return read(view, _TABLE, _NOW, ScrubPass)


def read_last_pass(view: View) -> ScrubPass | None:
    return read(view, _TABLE, _LAST, ScrubPass)
