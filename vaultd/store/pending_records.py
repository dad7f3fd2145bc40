"""Records that were appended and not committed yet, and which of those that are offered are new.

Threads: the writer thread only.
"""

from collections.abc import Iterable, Sequence

from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.damage_notes import DamageNotes
from vaultd.store.errors import RecordDamaged, StoreError
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexRecord


class PendingRecords:
    def __init__(self, index: Index, notes: DamageNotes) -> None:
        self.rows: dict[tuple[bytes, bytes], IndexRecord] = {}  # by keyring and id
        self.superseding: list[IndexRecord] = []  # those whose older record is damaged
        self._index = index
        self._notes = notes

    def new(self, records: Sequence[StoredRecord]) -> tuple[list[StoredRecord], set[tuple[bytes, bytes]]]:
        """What is to be stored, and the keyrings and ids of those of it that have a damaged record here."""
        wanted: dict[bytes, dict[bytes, StoredRecord]] = {}
        for record in records:
            header = record.header
            if len(record.view) != header.record_length:
                raise StoreError(f"record {header.id.hex()}: body_length does not fit {len(record.view)} bytes")
            if (header.keyring_id, header.id) not in self.rows:
                wanted.setdefault(header.keyring_id, {}).setdefault(header.id, record)
        new: list[StoredRecord] = []
        superseding: set[tuple[bytes, bytes]] = set()
        for keyring_id, by_id in wanted.items():
            held = self._index.held(keyring_id, by_id)
            number = self._index.keyring_number(keyring_id)
            damaged = {id_ for id_, is_whole in held.items() if not is_whole or (number, id_) in self._notes.damaged}
            new += [record for id_, record in by_id.items() if id_ not in held or id_ in damaged]
            superseding |= {(keyring_id, id_) for id_ in damaged}
        return new, superseding

    def add(self, record: StoredRecord, container: int, offset: int, *, is_superseding: bool) -> None:
        header = record.header
        row = IndexRecord(
            header.keyring_id, header.id, header.key_id, container, offset, len(record.view), header.type, record.cid
        )
        self.rows[header.keyring_id, header.id] = row
        if is_superseding:
            self.superseding.append(row)

    def well_again(self, rows: Iterable[IndexRecord]) -> list[IndexRecord]:
        """Of records that were flagged and read well since those whose flag may go: another one of the id may have
        superseded it, or its row may have been damaged.
        """
        return [row for row in rows if (row.keyring_id, row.id) not in self.rows and self._is_indexed_there(row)]

    def _is_indexed_there(self, row: IndexRecord) -> bool:
        try:
            (location,) = self._index.lookup(row.keyring_id, [row.id])
        except RecordDamaged:
            return False
        return location is not None and (location.container, location.offset) == (row.container, row.offset)

    def clear(self) -> None:
        """The index has them now."""
        self.rows.clear()
        self.superseding.clear()
