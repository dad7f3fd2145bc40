"""What recovery finds in containers, on its way into the index: records that are there, and records that are lost.

Invariants: the first record of an id wins, unless the journal says that another took its place, or its disk was given
up; one that was dropped stays so; a sealed record without its run key is not indexed. A batch of records is in memory
at a time. Threads: the writer thread only.
"""

from collections.abc import Callable, Sequence

from vaultd.store.errors import RecordDamaged
from vaultd.store.index.group_scan import Loss
from vaultd.store.index.index import Index
from vaultd.store.index.journal_places import JournalPlaces
from vaultd.store.index.record_row import CID_PREFIX_BYTES
from vaultd.store.index_rows import IndexBatch, IndexRecord, Location

_BATCH_RECORDS = 10_000

KnownKey = Callable[[bytes], bool]


class FoundRecords:
    def __init__(self, index: Index, known_key: KnownKey, places: JournalPlaces) -> None:
        self.indexed = 0
        self.without_key = 0
        self._index = index
        self._known_key = known_key
        self._known: dict[bytes, bool] = {}
        self._batch: list[IndexRecord] = []
        self._superseded = places.superseded  # where the record of an id lies since then
        self._dropped = places.dropped
        self._superseding: dict[tuple[bytes, bytes], IndexRecord] = {}  # those found there
        self._damaged: list[tuple[bytes, Location]] = []
        self._lost: set[tuple[int, bytes]] = set()  # container and cid prefix of records whose id is not known here

    def end(self) -> None:
        """What is left goes into the index, and what was lost is marked there."""
        self._flush()
        self._find_lost()
        passed = [record for record in self._superseding.values() if self._is_passed(record)]
        for record in passed:
            del self._superseding[record.keyring_id, record.id]
        self._index.apply(IndexBatch(damaged=self._damaged, records=list(self._superseding.values())))
        self._index.apply(IndexBatch(records=passed, first_wins=True))

    def is_dropped(self, container: int, offset: int) -> bool:
        return self._dropped.has(container, offset)

    def add(self, record: IndexRecord, *, sealed: bool) -> None:
        if self.is_dropped(record.container, record.offset):
            return
        if sealed and not self._is_known(record.key_id):
            self.without_key += 1
            return
        self.indexed += 1
        name = (record.keyring_id, record.id)
        if self._superseded.names(name, record.container, record.offset):
            self._superseding[name] = record
            return
        self._batch.append(record)
        if len(self._batch) >= _BATCH_RECORDS:
            self._flush()

    def _flush(self) -> None:
        """The rows of containers and the position follow in the last transaction, so a crash repeats the whole."""
        if self._batch:
            self._index.apply(IndexBatch(records=_first_of_each(self._batch), first_wins=True))
            self._batch = []

    def _is_passed(self, record: IndexRecord) -> bool:
        """Whether the index leads to a later record of an id whose last one counts: that lies in a container which is
        wholly indexed and not looked through again. It stays there as long as it is worth more.
        """
        if not self._superseded.is_moved((record.keyring_id, record.id)):
            return False
        try:
            (location,) = self._index.lookup(record.keyring_id, [record.id])
        except RecordDamaged:
            return False
        return location is not None and location.container > record.container

    def _is_known(self, key_id: bytes) -> bool:
        if key_id not in self._known:
            self._known[key_id] = self._known_key(key_id)
        return self._known[key_id]

    def note_damage(self, number: int, loss: Loss) -> None:
        """What is lost is asked for again: a record whose header still says its id is marked, others are looked for."""
        found = loss.record
        if found is None or not self.note_lost(number, found.offset, found.header.keyring_id, found.header.id):
            self._lost.update((number, name[:CID_PREFIX_BYTES]) for name in loss.cids)

    def note_lost(self, number: int, offset: int, keyring_id: bytes, id_: bytes) -> bool:
        """What lies there is not the record; whether the id's row is known. It is marked also where its key was given
        up: that may be taken back.
        """
        try:
            (location,) = self._index.lookup(keyring_id, [id_])
        except RecordDamaged:
            return True
        if location is None or (location.container, location.offset) != (number, offset):
            return False
        self._damaged.append((id_, location))
        return True

    def _find_lost(self) -> None:
        """Only the index still knows the ids of records whose header is gone; it is read through for them."""
        if not self._lost:
            return
        for row in self._index.rows():
            location = row.location
            if location and (location.container, location.cid_prefix) in self._lost:
                self._damaged.append((row.id, location))


def _first_of_each(batch: Sequence[IndexRecord]) -> list[IndexRecord]:
    """Of two records of one id the first in the container wins."""
    found: dict[tuple[bytes, bytes], IndexRecord] = {}
    for record in batch:
        found.setdefault((record.keyring_id, record.id), record)
    return list(found.values())
