"""Stretches of containers that were acknowledged and are damaged or gone, and which records lie in them.

Invariant: a record is named by one fault, however many parts of the check meet it: its container's directory, the
journal, the index. Memory: a few names for each fault, and a fault for each place; of one container at most PLACES_MAX
are told one by one. Rows of the index that lead to nothing good for the same reason are one fault for each container.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vaultd.store.containers.format import BLOCK_BYTES, DirectoryRow
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.record_row import CID_PREFIX_BYTES
from vaultd.store.index_rows import IndexRow, Location

PLACES_MAX = 100
NAMES_MAX = 3
_FAR = 1 << 33  # behind every place that a row of the index can name
_SENT_AGAIN = "the next run that needs such a record sends it again"
_IDS_MAX = 100_000  # of records that the index does not have and a safeset may want, and of those that lay somewhere


@dataclass(slots=True, eq=False)
class Fault:
    """`start` and `end` are offsets in a container; both are 0 where nobody knows them, or where it is all of it.

    `otherwise` is the sentence as long as no record is known that it hits; with `is_whole` it always stays.
    """

    key: bytes
    place: str
    start: int
    end: int
    why: str
    otherwise: str
    is_whole: bool = False
    is_explained: bool = False  # another one names the same record
    keyring_id: bytes = b""  # of a record that the container itself names in it
    keyring_numbers: set[int] = field(default_factory=set)  # of those that the index has there
    records: int = 0
    there: dict[tuple[bytes, bytes], None] = field(default_factory=dict)  # keyring and id of what lay there, if known
    is_cut: bool = False  # more lay there
    _indexed: int = 0
    _names: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # the first: offset and length

    def note(self, id_: bytes, offset: int, length: int, keyring_id: bytes = b"") -> None:
        """One that the container itself says was there."""
        self.records += 1
        self.keyring_id = keyring_id
        self._name(id_, offset, length)

    def note_row(self, row: IndexRow, location: Location) -> None:
        """One that the index has there; the container may have named it too."""
        self._indexed += 1
        self.records = max(self.records, self._indexed)
        self.keyring_numbers.add(location.keyring_number)
        self._name(row.id, location.offset, location.length)

    def note_unreadable_row(self, row: IndexRow) -> None:
        """One that does not say where its record lies."""
        self.records += 1
        self._name(row.id, 0, 0)

    @property
    def may_be_replaced(self) -> bool:
        """Whether everything that it hits is known, and the index leads to none of it."""
        return max(1, self.records) <= len(self.there) and not (self._indexed or self.is_whole or self.is_cut)

    def finding(self, after: str = "") -> Finding:
        return Finding(Severity.damage, self.place, self._sentence() + after)

    def replaced(self) -> Finding:
        after = "; other copies of what lay there took its place and are whole: nothing is lost"
        return Finding(Severity.note, self.place, self._sentence() + after)

    def _name(self, id_: bytes, offset: int, length: int) -> None:
        if len(self._names) < NAMES_MAX:
            self._names.setdefault(id_, (offset, length))

    def _sentence(self) -> str:
        if self.is_whole:
            return self.otherwise + (f"; {self.records:,} records of the index lie in it" if self.records else "")
        if not self._names:
            return self.otherwise
        (id_, (offset, length)), *others = self._names.items()
        if not others and self.records <= 1:
            if not length:
                return f"the row of record {id_.hex()}: {self.why}"
            return f"record {id_.hex()} at offset {offset}, {length} bytes, is damaged: {self.why}"
        names = ", ".join(one.hex() for one in self._names)
        more = self.records - len(self._names)
        return f"{self.otherwise}; it hits {self.records:,} records: {names}{f' and {more:,} more' if more else ''}"


class Faults:
    """All that one check met, in its order. First the containers are read, then the index is held against them."""

    def __init__(self) -> None:
        self.all: list[Fault] = []
        self._places: dict[int, list[tuple[int, int, Fault]]] = {}
        self._wholes: dict[int, Fault] = {}
        self._rest: dict[int, Fault] = {}
        self._marked: dict[int, Fault] = {}  # by container
        self._unreadable_rows: Fault | None = None
        self._by_cid: dict[tuple[int, bytes], Fault] = {}
        self._by_id: dict[bytes, Fault] = {}
        self._there = 0

    def whole(self, container: int, place: str, sentence: str) -> Fault:
        fault = self._new(place, (0, 0), sentence, sentence)
        fault.is_whole = True
        self._wholes.setdefault(container, fault)
        return fault

    def stretch(self, container: int, place: str, start: int, end: int, why: str, otherwise: str = "") -> Fault:
        """The one that is there already, where another part of the check met the same place."""
        places = self._places.setdefault(container, [])
        upto = bisect_right(places, start, key=_start)
        if upto and places[upto - 1][0] == start:
            return places[upto - 1][2]
        if len(places) >= PLACES_MAX:
            fault = self._more(container, place)
        else:
            otherwise = otherwise or f"damage at offset {start}, {end - start} bytes: {why}"
            fault = self._new(place, (start, end), why, otherwise)
        insort(places, (start, end, fault), key=_start)
        return fault

    def cut(self, container: int, place: str, size: int, length: int) -> None:
        """The file ends at `size`: what is damaged right before that is part of the same."""
        sentence = f"it has {size} bytes of {length} that were acknowledged"
        fault, places = self.at(container, size - 1, size), self._places.get(container, [])
        if fault and places and places[-1][2] is fault:
            places[-1] = (places[-1][0], length, fault)
            fault.end, fault.why, fault.otherwise = length, sentence, sentence
        else:
            self.stretch(container, place, size, length, sentence, sentence)

    def nowhere(self, place: str, sentence: str, cids: Iterable[tuple[int, bytes]] = (), why: str = "") -> Fault:
        """Of records whose place is not known."""
        fault = self._new(place, (0, 0), why or sentence, sentence)
        self.lost(fault, cids)
        return fault

    def lost(self, fault: Fault, cids: Iterable[tuple[int, bytes]]) -> None:
        """It costs these records: by container and cid."""
        for container, cid in cids:
            self._by_cid[container, cid[:CID_PREFIX_BYTES]] = fault

    def name(self, fault: Fault, entry: DirectoryRow) -> None:
        fault.note(entry.id, entry.offset, entry.length, entry.keyring_id)
        self.lay_there(fault, entry.keyring_id, entry.id)
        self.know(entry.id, fault)

    def lay_there(self, fault: Fault, keyring_id: bytes, id_: bytes) -> None:
        """One that the journal or the directory of its container vouches for."""
        if self._there >= _IDS_MAX:
            fault.is_cut = True
            return
        self._there += 1
        fault.there[keyring_id, id_] = None

    def know(self, id_: bytes, fault: Fault) -> None:
        if len(self._by_id) < _IDS_MAX:
            self._by_id.setdefault(id_, fault)

    def at(self, container: int, start: int, end: int) -> Fault | None:
        """What hits this stretch, which belongs to a record."""
        places = self._places.get(container, [])
        upto = bisect_right(places, end - 1, key=_start)
        for _, known_end, fault in places[max(upto - 1, 0) : upto]:
            if known_end > start:
                return fault
        return self._wholes.get(container)

    def take_row(self, row: IndexRow, location: Location) -> bool:
        """Whether a fault that is known already hits the record of this row; it is named there then."""
        fault = self._of(location)
        if fault is None:
            return False
        fault.note_row(row, location)
        return True

    def add_unreadable_row(self, row: IndexRow, place: str) -> None:
        """One whose checksum does not hold: all of them are one fault."""
        fault = self._unreadable_rows
        if fault is None:
            fault = self.nowhere(place, "rows do not hold their checksums", why="its checksum does not hold")
            self._unreadable_rows = fault
        fault.note_unreadable_row(row)
        self.know(row.id, fault)

    def add_marked_row(self, row: IndexRow, location: Location, place: str) -> None:
        """The first of a container whose record counts as damaged in the index alone; `take_row` adds the others."""
        where = f"container {location.container:012x}"
        otherwise = f"records in {where} were found damaged, or their run keys do not open; {_SENT_AGAIN}"
        why = f"it was found so in {where}, or its run key does not open; {_SENT_AGAIN}"
        fault = self._marked[location.container] = self.nowhere(place, otherwise, why=why)
        fault.note_row(row, location)

    def outside(self, container: int, place: str, length: int, sentence: str) -> Fault:
        """What lies before the records of a container or behind its acknowledged `length`: rows may lead there."""
        fault = self.stretch(container, place, length, _FAR, sentence, sentence)
        insort(self._places[container], (0, BLOCK_BYTES, fault), key=_start)
        return fault

    def add_row(self, row: IndexRow, location: Location, place: str, sentence: str) -> None:
        """One that leads to another record, or to none, where the containers themselves have no fault."""
        end = location.offset + location.length
        fault = self.stretch(location.container, place, location.offset, end, sentence, sentence)
        fault.keyring_numbers.add(location.keyring_number)
        if fault.is_whole:
            fault.note_row(row, location)

    def add_record(self, id_: bytes, location: Location, place: str) -> None:
        """One that was read, and is not what the index says."""
        end = location.offset + location.length
        fault = self.stretch(location.container, place, location.offset, end, "its bytes do not hold the index's cid")
        fault.keyring_numbers.add(location.keyring_number)
        fault.note(id_, location.offset, location.length)

    def of(self, location: Location | None, id_: bytes) -> Fault | None:
        """What hits the record that the index has there, or of which it has nothing."""
        return self._by_id.get(id_) if location is None else self._of(location)

    def __iter__(self) -> Iterator[Fault]:
        return (fault for fault in self.all if not fault.is_explained)

    def _of(self, location: Location) -> Fault | None:
        if not self.all:
            return None
        placed = self.at(location.container, location.offset, location.offset + location.length)
        lost = self._by_cid.get((location.container, location.cid_prefix))
        if placed and lost and lost is not placed:
            lost.is_explained = True
        return placed or lost or (self._marked.get(location.container) if location.is_damaged else None)

    def _more(self, container: int, place: str) -> Fault:
        fault = self._rest.get(container)
        if fault is None:
            sentence = f"more than {PLACES_MAX} places of it are damaged: the others are not told one by one"
            fault = self._rest[container] = self._new(place, (0, 0), sentence, sentence)
            fault.is_whole = True
        return fault

    def _new(self, place: str, stretch: tuple[int, int], why: str, otherwise: str) -> Fault:
        fault = Fault(len(self.all).to_bytes(8, "big"), place, *stretch, why, otherwise)
        self.all.append(fault)
        return fault


def _start(place: tuple[int, int, Fault]) -> int:
    return place[0]
