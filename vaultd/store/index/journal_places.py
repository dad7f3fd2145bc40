"""What the journal says of single records: where one lies instead of an older one, and which were dropped; and of which
containers all records were moved to others.

Memory: 4 bytes for each dropped record of a container that is still there.
"""

from array import array
from collections.abc import Iterator

from msgspec import Struct

from vaultd.store.errors import NewerFormat, StoreError
from vaultd.store.index.acknowledged import EntriesAfter
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow, Dropped, IndexBatch
from vaultd.store.journal.dropped import unpack_dropped
from vaultd.store.journal.format import EntryKind, RawEntry
from vaultd.store.position import Position

Name = tuple[bytes, bytes]  # keyring and id
_ROWS_AT_ONCE = 10_000


class DroppedPlaces:
    """By container, the offsets of records that are not there any more."""

    def __init__(self) -> None:
        self._offsets: dict[int, array[int]] = {}
        self._looked_at = -1, frozenset[int]()  # a container, which is asked about record by record

    def add(self, container: int, offset: int) -> None:
        self._offsets.setdefault(container, array("I")).append(offset)

    def forget(self, container: int) -> None:
        self._offsets.pop(container, None)

    def has(self, container: int, offset: int) -> bool:
        """Once all were added."""
        if self._looked_at[0] != container:
            self._looked_at = container, frozenset(self._offsets.get(container, ()))
        return offset in self._looked_at[1]


class Superseded:
    """Where the record of an id lies instead of an older one, by keyring and id."""

    def __init__(self) -> None:
        self._places: dict[Name, tuple[int, int]] = {}
        self._names: dict[int, set[Name]] = {}  # by container
        self._moved: set[Name] = set()

    def add(self, name: Name, container: int, offset: int) -> None:
        self._places[name] = container, offset
        self._names.setdefault(container, set()).add(name)
        self._moved.discard(name)

    def move(self, container: int) -> None:
        """What lay there lies elsewhere now: a later place than that of any older record of the id."""
        names = {name for name in self._names.pop(container, ()) if self._places[name][0] == container}
        self._moved |= names

    def is_moved(self, name: Name) -> bool:
        """Whether it is not known where the record lies that took the place of others: it is the last one."""
        return name in self._moved

    def names(self, name: Name, container: int, offset: int) -> bool:
        """Whether a record of the id that lies here takes the place of those before it."""
        return self.is_moved(name) or self._places.get(name) == (container, offset)


class JournalPlaces(Struct):
    """`end`: of the journal. `moved`: by number the disk of each container that the entries which the index has not
    applied, or all where there is no index, say was moved.
    """

    superseded: Superseded
    dropped: DroppedPlaces
    moved: dict[int, bytes]
    end: Position | None


def read_places(entries_after: EntriesAfter, containers: dict[int, ContainerRow], index: Index) -> JournalPlaces:
    """From the index's position on, or all where a container is not wholly indexed, because its disk was away for
    example: a record may have taken the place of another one before it was moved there. Rows of what was dropped since
    the position are taken out of the index.
    """
    position = index.position()
    applied = position.number if position else 0
    is_behind = any(row.indexed_length < row.acknowledged_length for row in containers.values())
    found = JournalPlaces(Superseded(), DroppedPlaces(), {}, position)
    try:
        for entry in entries_after(0 if is_behind else applied):
            if entry.position.number > applied:
                break
            for _ in _note(found, entry):
                pass
    except NewerFormat:
        raise
    except StoreError:  # damaged where it was applied long ago: told where its containers are looked through
        pass
    found.moved.clear()
    waiting: list[Dropped] = []
    for entry in entries_after(applied):
        waiting += _note(found, entry)
        found.end = entry.position
        if len(waiting) >= _ROWS_AT_ONCE:
            waiting = _take_out(index, waiting)
    _take_out(index, waiting)
    return found


def _note(found: JournalPlaces, entry: RawEntry) -> Iterator[Dropped]:
    """What the entry drops."""
    if entry.kind == EntryKind.supersede:
        details = entry.decode().details
        found.superseded.add((details["keyring"], details["id"]), details["container"], details["offset"])
    elif entry.kind == EntryKind.drop:
        details = entry.decode().details
        for one in unpack_dropped(details["keyring"], details["records"]):
            found.dropped.add(one.container, one.offset)
            yield one
    elif entry.kind == EntryKind.container_moved:
        details = entry.decode().details
        found.moved[details["number"]] = details["disk"]
        found.dropped.forget(details["number"])
        found.superseded.move(details["number"])


def _take_out(index: Index, waiting: list[Dropped]) -> list[Dropped]:
    """Nothing is left of what waited. Wherever a row leads: when its record was dropped it was the only one, and what
    was stored since is found in the containers. The position stays, so that a crash repeats it.
    """
    if waiting and index.position() is not None:
        index.apply(IndexBatch(dropped=waiting, dropped_anywhere=True))
    return []
