"""What readers found about records since the last commit, which writes it into the index; and whether any came to count
as damaged since somebody looked.

Threads: readers note, the writer thread takes; every step is one dictionary operation.
"""

from collections.abc import Iterable
from itertools import count

from vaultd.store.index_rows import IndexRecord, Location
from vaultd.store.record_format import cid, parse_header

Name = tuple[int, bytes]  # the index's number of the keyring, and the id
DamageMet = tuple[int, int]  # numbers of the newest events that the whole vault met, and one keyring: compare only

_NOTES_MAX = 10_000  # of a kind between two commits; one that is dropped is made again by the next read


class DamageNotes:
    def __init__(self) -> None:
        self.damaged: dict[Name, Location] = {}
        self.whole: dict[Name, IndexRecord] = {}  # flagged ones that read well again
        self.newest = 0  # event of any kind
        self._numbers = count(1)  # two threads never take the same one, so no event hides another
        self._everywhere = 0
        self._of_keyring: dict[int, int] = {}

    def met(self, keyring_number: int | None) -> DamageMet:
        """None: the keyring has no record yet."""
        return self._everywhere, self._of_keyring.get(keyring_number or 0, 0)

    def meet(self, keyring_number: int) -> None:
        """Records of it came to count as damaged: what was seen whole may not be so."""
        self.newest = self._of_keyring[keyring_number] = next(self._numbers)

    def meet_everywhere(self) -> None:
        """As when a disk is lost."""
        self.newest = self._everywhere = next(self._numbers)

    def is_damaged(self, id_: bytes, location: Location) -> bool:
        return location.is_damaged or (location.keyring_number, id_) in self.damaged

    def note_damage(self, id_: bytes, location: Location) -> None:
        name = (location.keyring_number, id_)
        self.whole.pop(name, None)  # the last reader is right
        was_damaged = self.is_damaged(id_, location)
        if len(self.damaged) < _NOTES_MAX:
            self.damaged[name] = location  # also where its key was given up: that may be taken back
        if not was_damaged:
            self.meet(location.keyring_number)  # after the note: who sees the event sees the note

    def note_whole(self, id_: bytes, location: Location, record: bytes) -> None:
        """It was taken for damaged, where a disk refused it for a time for example: the next commit unsays it."""
        header = parse_header(record)
        row = IndexRecord(
            header.keyring_id, id_, header.key_id, location.container, location.offset, location.length, header.type,
            cid(record),
        )  # fmt: skip
        self.note_well(row, location)

    def note_well(self, row: IndexRecord, location: Location) -> None:
        """The same of one that was read by its row."""
        name = (location.keyring_number, row.id)
        self.damaged.pop(name, None)
        if location.is_damaged and len(self.whole) < _NOTES_MAX:
            self.whole[name] = row

    def forget(self, damaged: Iterable[Name], whole: Iterable[Name]) -> None:
        """The index has these now."""
        for name in damaged:
            self.damaged.pop(name, None)
        for name in whole:
            self.whole.pop(name, None)
