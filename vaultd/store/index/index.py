"""The index: where the record with an id lies; LMDB, an image of the containers that can be rebuilt from them
(docs/format.md#index).

Invariants: every row, but for `meta.format` and `meta.vault`, carries a checksum over key and value; no read
transaction outlives a batch; the map grows by itself, while no transaction is open. Threads: one writer thread
for `apply`; look-ups from any.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from vaultd.image.environment import MAP_BYTES, Environment, explain, is_damage
from vaultd.image.probe import GIVEN_UP, Image
from vaultd.image.rows import close_row, open_row
from vaultd.store.errors import FormatError, NoSpace, RecordDamaged, StoreBroken, StoreError
from vaultd.store.index.container_plans import ContainerPlans
from vaultd.store.index.dropped_rows import drop_rows
from vaultd.store.index.looks import IndexLooks
from vaultd.store.index.numbers import NUMBER, Numbers
from vaultd.store.index.record_row import decode_row, encode_row, flag_damaged, is_row_whole
from vaultd.store.index.stored_rows import StoredRows
from vaultd.store.index_rows import KEY_ID_AT, ContainerRow, IndexBatch, IndexRecord, IndexRow, Location
from vaultd.store.position import Position

FORMAT = 1
TABLES = ("records", "keyrings", "keys", "containers", "meta")
_MAX_READERS = 126
_GIVEN_UP_KEY = struct.Struct(f">{len(GIVEN_UP)}sII")  # keyring number, key number
_CONTAINER_NUMBER = struct.Struct(">Q")
_CONTAINER = struct.Struct("<16sQQQB")
_POSITION = struct.Struct("<IQ32s")
_FORMAT = struct.Struct("<I")
_REBUILD = "stop vaultd and run `vaultd rebuild DIR`"


class Index:
    def __init__(self, image: Environment, path: Path) -> None:
        """Use `open`."""
        self.path = path
        self._image = image
        self._environment = image.environment
        self._given_up: frozenset[int] = frozenset()
        self._records, keyrings, keys, self._containers, self._meta = map(image.databases.get, TABLES)
        self.keyrings = Numbers(keyrings, self._reading, self._opened)
        self.keys = Numbers(keys, self._reading, self._opened)
        self._given_up_keys: frozenset[tuple[int, int]] = frozenset()  # numbers of keyring and key
        self._distrusted_keys: frozenset[tuple[int, int]] = frozenset()
        self.stored = StoredRows(self._records, self._reading)
        self.looks = IndexLooks(image.databases, self._reading, self._write_durably)
        self.plans = ContainerPlans(self._meta, self._reading, self._write_durably)

    @classmethod
    def open(cls, path: Path, vault_id: bytes, map_bytes: int = MAP_BYTES) -> "Index":
        """Makes an empty index where there is none; `position()` is None until something was applied."""
        with _as_store_error(path):
            index = cls(Environment.open(path, TABLES, map_bytes, _MAX_READERS), path)
        try:
            index._check_meta(vault_id)
            index._load_given_up_keys()
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def open_read_only(cls, path: Path) -> "Index":
        """For the offline check: no other process may have it open."""
        with _as_store_error(path):
            index = cls(Environment.open_read_only(path, TABLES), path)
        index._load_given_up_keys()
        return index

    @staticmethod
    def image(path: Path) -> Image:
        """What has to hold before it is opened. The rows of `records` are too many for it: each read checks its own."""
        return Image(path, TABLES, {_FORMAT.pack(FORMAT): ("keyrings", "keys", "containers", "meta")})

    def position(self) -> Position | None:
        data = self._get(self._meta, b"position")
        return Position(*_POSITION.unpack(self._opened(b"position", data))) if data else None

    def vault_id(self) -> bytes | None:
        return self._get(self._meta, b"vault")

    def give_up(self, containers: Iterable[int]) -> None:
        """Records in these count as damaged from now on: their disk is lost, or their file gone. The rows stay."""
        self._given_up = frozenset(containers)

    def give_up_keys(self, keyring_id: bytes, key_ids: Sequence[bytes]) -> int:
        """Records under these count as damaged from now on, also those that come later. Durable; the rows stay as they
        are, so that what a read says of them is kept apart from what is known of their key. Returns the keyring's
        number.
        """
        number = b""

        def put(transaction: Any) -> None:
            nonlocal number
            number = self.keyrings.give(transaction, keyring_id)
            for key in self._given_up_rows(transaction, keyring_id, key_ids):
                transaction.put(key, close_row(key, b""), db=self._meta)
            self.looks.put(transaction, number)

        self._write_durably(put)
        self._load_given_up_keys()
        return int(NUMBER.unpack(number)[0])

    def take_back_keys(self, keyring_id: bytes, key_ids: Sequence[bytes]) -> None:
        """They open again: what lies under them counts as what is known of it else."""

        def remove(transaction: Any) -> None:
            for key in self._given_up_rows(transaction, keyring_id, key_ids):
                transaction.delete(key, db=self._meta)

        self._write_durably(remove)
        self._load_given_up_keys()

    def distrust_keys(self, numbers: frozenset[tuple[int, int]]) -> set[int]:
        """Records under these count as damaged as long as this stays open; they were not given up and open. Returns the
        numbers of the keyrings that have one which was not distrusted before.
        """
        new = numbers - self._distrusted_keys
        self._distrusted_keys = numbers
        return {keyring_number for keyring_number, _ in new}

    def key_numbers(self, keys: Iterable[tuple[bytes, bytes]]) -> frozenset[tuple[int, int]]:
        """Of keyring and key, by their ids; one under which nothing lies has none."""
        found = ((self.keyrings.of(ring), self.keys.of(key)) for ring, key in keys)
        return frozenset((ring, key) for ring, key in found if ring is not None and key is not None)

    def given_up_keys(self) -> list[tuple[bytes, bytes]]:
        """Ids of keyring and key, of all keyrings."""
        with self._reading() as transaction:
            numbers = self._given_up_keys
            keyrings = self.keyrings.ids(transaction, {keyring for keyring, _ in numbers})
            keys = self.keys.ids(transaction, {key for _, key in numbers})
        return [(keyrings[ring], keys[key]) for ring, key in sorted(numbers) if ring in keyrings and key in keys]

    def count_as_open(self, keys: Iterable[tuple[bytes, bytes]]) -> None:
        """These were given up and open again, so what lies under them counts; in memory alone, for the check."""
        names = {(self.keyrings.of(keyring), self.keys.of(key)) for keyring, key in keys}
        self._given_up_keys = frozenset(self._given_up_keys - names)

    def keyring_number(self, keyring_id: bytes) -> int | None:
        """As locations name it; None before its first record."""
        return self.keyrings.of(keyring_id)

    def is_key_given_up(self, keyring_id: bytes, key_id: bytes) -> bool:
        if not self._given_up_keys:
            return False
        names = self.keyrings.of(keyring_id), self.keys.of(key_id)
        return names in self._given_up_keys

    def lookup(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
        """In the order of `ids`; a row whose checksum does not hold is an error that names it."""
        rows = self._rows(keyring_id, ids)
        locations: list[Location | None] = []
        for id_ in ids:
            row = rows.get(id_)
            if row is None:
                locations.append(None)
                continue
            location = self._decode(*row)
            if location is None:
                raise RecordDamaged(f"the index row of record {id_.hex()} of keyring {keyring_id.hex()} is damaged")
            locations.append(location)
        return locations

    def place_of(self, keyring_number: int, id_: bytes) -> Location | None:
        """Of one record, by the keyring's number; None also where its row is damaged."""
        key = NUMBER.pack(keyring_number) + id_
        value = self._get(self._records, key)
        return None if value is None else self._decode(key, value)

    def present(self, keyring_id: bytes, ids: Iterable[bytes]) -> set[bytes]:
        """Those that are indexed and whole, as far as is known."""
        return {key[KEY_ID_AT:] for key, value in self._found(keyring_id, ids) if self._is_whole(key, value)}

    def held(self, keyring_id: bytes, ids: Iterable[bytes]) -> dict[bytes, bool]:
        """Those that have a row: False where row or record is damaged, so that the record is sent and indexed anew."""
        return {key[KEY_ID_AT:]: self._is_whole(key, value) for key, value in self._found(keyring_id, ids)}

    def lost(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool | None]:
        """In the order of `ids`: whether row or record is damaged, distrusted or not; None where there is no row."""
        rows = self._rows(keyring_id, ids)
        return [self._is_lost(*rows[id_]) if id_ in rows else None for id_ in ids]

    @property
    def given_up(self) -> frozenset[int]:
        """Containers."""
        return self._given_up

    def containers(self) -> dict[int, ContainerRow]:
        with self._reading() as transaction:
            rows = [(key, value) for key, value in transaction.cursor(self._containers)]
        found = {}
        for key, value in rows:
            (number,) = _CONTAINER_NUMBER.unpack(key)
            disk_id, acknowledged, indexed, first, sealed = _CONTAINER.unpack(self._opened(key, value))
            found[number] = ContainerRow(number, disk_id, acknowledged, indexed, first, bool(sealed))
        return found

    def rows(self) -> Iterator[IndexRow]:
        """Every row of `records`, batch by batch; those on a disk that is lost are as they were on it."""
        for batch in self.stored.batches():
            for key, value in batch:
                yield IndexRow(key, self._decode_by_key(key, value))

    def record_count(self) -> int:
        with self._reading() as transaction:
            return int(transaction.stat(self._records)["entries"])

    def apply(self, batch: IndexBatch) -> None:
        """One durable transaction: everything of the batch or nothing; after a failure nothing more may be written."""
        self._write_durably(lambda transaction: self._write(transaction, batch))

    def _write_durably(self, work: Callable[[Any], None]) -> None:
        try:
            self._image.write(work)
        except lmdb.DiskError as error:
            raise NoSpace(f"{self.path}: the disk is full: {explain(error)}; free space and restart vaultd") from error
        except lmdb.Error as error:
            raise StoreBroken(f"{self.path}: the index transaction failed: {explain(error)}") from error

    def close(self) -> None:
        self._image.close()

    def _write(self, transaction: Any, batch: IndexBatch) -> None:
        for id_, location in batch.damaged:
            self._mark_damaged(transaction, NUMBER.pack(location.keyring_number) + id_, location)
        if batch.records:
            rows = self._encode_records(transaction, batch.records)
            cursor = transaction.cursor(self._records)
            shadowed = self._shadowed(cursor, rows) if batch.first_wins else []
            cursor.putmulti(rows, overwrite=not batch.first_wins)
            cursor.putmulti(shadowed)
        for row in batch.containers:
            lengths = (row.acknowledged_length, row.indexed_length)
            value = _CONTAINER.pack(row.disk_id, *lengths, row.first_entry, row.is_sealed)
            key = _CONTAINER_NUMBER.pack(row.number)
            transaction.put(key, close_row(key, value), db=self._containers)
        drop_rows(transaction, self._records, self.keyrings, batch)
        for row in batch.moved:
            transaction.delete(_CONTAINER_NUMBER.pack(row.number), db=self._containers)
            self.plans.put_moved(transaction, row)
        if batch.position is not None:
            value = close_row(b"position", _POSITION.pack(*batch.position))
            transaction.put(b"position", value, db=self._meta)

    def _shadowed(self, cursor: Any, rows: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Those in whose place a row counts as damaged, or is. Where that is its key's fault alone, its record is whole
        and the later one: another that counts as damaged too takes no place of it.
        """
        held = dict(cursor.getmulti([key for key, _ in rows]))
        return [(key, value) for key, value in rows if key in held and self._gives_way(key, held[key], value)]

    def _gives_way(self, key: bytes, held: bytes, new: bytes) -> bool:
        location = decode_row(key, held)
        if location is None or location.is_damaged or location.container in self._given_up:
            return True
        return not self._is_whole(key, held) and self._is_whole(key, new)

    def _mark_damaged(self, transaction: Any, key: bytes, location: Location) -> None:
        value = transaction.get(key, db=self._records)
        held = decode_row(key, value) if value is not None else None
        if held and (held.container, held.offset) == (location.container, location.offset):
            if not held.is_damaged:
                self.looks.put(transaction, key[:KEY_ID_AT])
            transaction.put(key, flag_damaged(key, value), db=self._records)

    def _encode_records(self, transaction: Any, records: Sequence[IndexRecord]) -> list[tuple[bytes, bytes]]:
        keyrings = {id_: self.keyrings.give(transaction, id_) for id_ in {row.keyring_id for row in records}}
        keys = {id_: self.keys.give(transaction, id_) for id_ in {row.key_id for row in records}}
        rows = []
        for record in records:
            key = keyrings[record.keyring_id] + record.id
            (key_number,) = NUMBER.unpack(keys[record.key_id])
            rows.append((key, encode_row(key, record, key_number)))
        rows.sort()
        return rows

    def _rows(self, keyring_id: bytes, ids: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """By id."""
        return {key[KEY_ID_AT:]: (key, value) for key, value in self._found(keyring_id, ids)}

    def _found(self, keyring_id: bytes, ids: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """One sorted look-up in one short transaction."""
        with self._reading() as transaction:
            number = self.keyrings.held(transaction, keyring_id)
            if number is None:
                return []
            found: list[tuple[bytes, bytes]] = transaction.cursor(self._records).getmulti(
                sorted([number + id_ for id_ in ids])
            )
        return found

    def _is_whole(self, key: bytes, value: bytes) -> bool:
        if self._given_up or self._given_up_keys or self._distrusted_keys:
            location = self._decode(key, value)
            return location is not None and not location.is_damaged
        return is_row_whole(key, value)

    def _decode(self, key: bytes, value: bytes) -> Location | None:
        location = self._decode_by_key(key, value)
        if location is not None and location.container in self._given_up:
            return location._replace(is_damaged=True)
        return location

    def _decode_by_key(self, key: bytes, value: bytes) -> Location | None:
        location = decode_row(key, value)
        key_name = None if location is None else (location.keyring_number, location.key_number)
        if location is not None and (key_name in self._given_up_keys or key_name in self._distrusted_keys):
            return location._replace(is_damaged=True)
        return location

    def _is_lost(self, key: bytes, value: bytes) -> bool:
        location = decode_row(key, value)
        if location is None or location.is_damaged or location.container in self._given_up:
            return True
        return (location.keyring_number, location.key_number) in self._given_up_keys

    def _given_up_rows(self, transaction: Any, keyring_id: bytes, key_ids: Sequence[bytes]) -> list[bytes]:
        (keyring,) = NUMBER.unpack(self.keyrings.give(transaction, keyring_id))
        keys = [NUMBER.unpack(self.keys.give(transaction, key_id))[0] for key_id in key_ids]
        return [_GIVEN_UP_KEY.pack(GIVEN_UP, keyring, key) for key in keys]

    def _load_given_up_keys(self) -> None:
        with self._reading() as transaction:
            rows = [item for item in transaction.cursor(self._meta) if item[0].startswith(GIVEN_UP)]
        found = set()
        for key, value in rows:
            self._opened(key, value)
            _, keyring, number = _GIVEN_UP_KEY.unpack(key)
            found.add((keyring, number))
        self._given_up_keys = frozenset(found)

    def _get(self, database: Any, key: bytes) -> bytes | None:
        with self._reading() as transaction:
            value: bytes | None = transaction.get(key, db=database)
            return value

    def _opened(self, key: bytes, value: bytes) -> bytes:
        """A value of a small table without its checksum: wrong numbers here would misplace every record behind them."""
        body = open_row(key, value)
        if body is None:
            raise StoreError(f"{self.path}: the row {key.hex()} is damaged; {_REBUILD}")
        return body

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with _as_store_error(self.path), self._image.read() as transaction:
            yield transaction

    def _check_meta(self, vault_id: bytes) -> None:
        held = self._get(self._meta, b"format")
        if held is None:
            self._put_meta({b"format": _FORMAT.pack(FORMAT), b"vault": vault_id})
            return
        if held != _FORMAT.pack(FORMAT):
            raise FormatError(f"{self.path}: format {held.hex()} of the index is unknown to this version")
        owner = self.vault_id()
        if owner != vault_id:
            sentence = f"{self.path} is the index of vault {(owner or b'').hex()}, not of {vault_id.hex()}"
            raise StoreError(f"{sentence}; if nothing was exchanged it is damaged: run `vaultd rebuild DIR`")

    def _put_meta(self, values: dict[bytes, bytes]) -> None:
        def put(transaction: Any) -> None:
            for key, value in values.items():
                transaction.put(key, value, db=self._meta)

        with _as_store_error(self.path):
            self._image.write(put)


@contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        end = _REBUILD if is_damage(error) else "then start vaultd again"
        raise StoreError(f"{path}: the index cannot be read: {explain(error)}; {end}") from error
