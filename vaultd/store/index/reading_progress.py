"""How far a recovery or a check has read through the containers, told after each one. Threads: those of the reader."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from vaultd.store.index_rows import ContainerRow


class Reading(Struct, frozen=True):
    """`bytes` are those of containers that were read or passed over, `records` those that were indexed or checked."""

    containers: int
    containers_total: int
    bytes: int
    bytes_total: int
    records: int


Tell = Callable[[Reading], None]


def tell_nobody(_reading: Reading) -> None:
    return


class ReadingProgress:
    """Counts the containers whose bytes the index does not have yet."""

    def __init__(self, rows: Iterable[ContainerRow], tell: Tell) -> None:
        sizes = [size for size in map(_unread_bytes, rows) if size]
        self._totals = len(sizes), sum(sizes)
        self._containers = 0
        self._bytes = 0
        self._tell = tell
        self._say(0)

    def add(self, row: ContainerRow, records: int) -> None:
        """`row` as it was before it was looked through."""
        if size := _unread_bytes(row):
            self._containers += 1
            self._bytes += size
            self._say(records)

    def _say(self, records: int) -> None:
        containers_total, bytes_total = self._totals
        self._tell(Reading(self._containers, containers_total, self._bytes, bytes_total, records))


def _unread_bytes(row: ContainerRow) -> int:
    return row.acknowledged_length - row.indexed_length
