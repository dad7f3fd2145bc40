"""The engine's face: records in, commits, look-ups and reads.

Invariants: a commit syncs containers, then the journal, then the index, and only then returns; after any failed write
the store refuses all others until it was opened anew. The caller holds the locks of `lock_vault` before it opens, and
sees to it that a record's sealed run key is in the catalog before it appends. Threads: `append`, `commit`, `recover`,
`replay` and `close` in the writer thread; the rest in any.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from vaultd.store.commit_entries import NOTHING_REMOVED, Removal, container_entries, removal_entries, supersede_entry
from vaultd.store.container_readers import ContainerReaders
from vaultd.store.containers.open_containers import ContainerSettings, OpenContainers, StoredRecord, Touched
from vaultd.store.damage_looks import DamageLooks
from vaultd.store.damage_notes import DamageMet, DamageNotes, Name
from vaultd.store.disk_door import Door
from vaultd.store.disks.identity import Disk
from vaultd.store.disks.known_disks import KnownDisk, with_those_of_containers
from vaultd.store.disks.room import room_findings
from vaultd.store.errors import NoSpace, StoreBroken, StoreError
from vaultd.store.findings import Finding
from vaultd.store.housekeeping import Housekeeping, HouseParts
from vaultd.store.index.reading_progress import Tell, tell_nobody
from vaultd.store.index_rows import ContainerRow, IndexBatch, Location
from vaultd.store.journal.format import JournalEntry, encode_payload
from vaultd.store.journal.kept import is_forked
from vaultd.store.pending_records import PendingRecords
from vaultd.store.position import Position
from vaultd.store.record_reads import ReadParts, RecordReads
from vaultd.store.recovery.gone_containers import find_gone
from vaultd.store.recovery.parts import Parts
from vaultd.store.recovery.recovery import Recovered, RecoveryReport, recover
from vaultd.store.recovery.unnamed_disks import find_unnamed_disks
from vaultd.store.refusals import FULL
from vaultd.store.scrub import Scrub, ScrubParts
from vaultd.store.statistics import Counted, StoreStatistics, store_statistics
from vaultd.store.store_parts import Demand, StoreParts, create_parts, open_parts
from vaultd.store.store_settings import StoreSettings

# Of one commit: each may change a page of 4 KiB of the index, which LMDB holds in memory until then.
PENDING_RECORDS_MAX = 8_192


class Appended(Struct, frozen=True):
    records: int
    bytes: int


class ChunkStore:
    def __init__(self, settings: StoreSettings, door: Door, now_ns: Callable[[], int], parts: StoreParts) -> None:
        """Use `create` or `open`."""
        self.disks = parts.disks
        self.disks_taken = parts.taken
        self._settings = settings
        self._door = door
        self._now_ns = now_ns
        self._journal = parts.journal
        self._index = parts.index
        self._room = parts.room
        self._names_disks = parts.names_disks
        self._open: OpenContainers | None = None
        self._containers: dict[int, ContainerRow] = parts.index.containers()
        self._gone: frozenset[int] = frozenset()  # containers that were not on their disks at the start
        self._notes = DamageNotes()
        self.looks = DamageLooks(parts.index, self._notes, lambda: self.lacks_rows)
        self._pending = PendingRecords(parts.index, self._notes)
        self._readers = ContainerReaders()
        self._reads = RecordReads(ReadParts(door, parts.disks, parts.index, self._notes, self._readers), self._row)
        self.house = Housekeeping(HouseParts(door, parts.disks, parts.index, self._readers, self._pending), self)
        self.scrub = Scrub(
            ScrubParts(door, parts.disks, parts.index, self._notes, self._readers), settings.vault_id,
            lambda number: self._journal.read_from(number + 1),
        )  # fmt: skip
        self._broken = ""

    @classmethod
    def create(cls, settings: StoreSettings, door: Door, now_ns: Callable[[], int]) -> "ChunkStore":
        """A new store on empty directories, ready for use."""
        create_parts(settings, door, now_ns)
        store = cls.open(settings, door, now_ns)
        store.recover(lambda key_id: False)
        store.looks.conclude(store.looks.due())
        return store

    @classmethod
    def open(
        cls,
        settings: StoreSettings,
        door: Door,
        now_ns: Callable[[], int],
        known: Sequence[KnownDisk] = (),
        demand: Demand | None = None,
    ) -> "ChunkStore":
        """Readable at once, with the journal's copies mended; writable after `recover`. A journal that does not hold
        what is demanded is not cut. `known`: the disks that the catalog names, if there is one.
        """
        parts = open_parts(settings, door, now_ns, known, demand or Demand())
        try:
            return cls(settings, door, now_ns, parts)
        except BaseException:
            parts.index.close()
            raise

    @property
    def position(self) -> Position:
        return self._journal.position

    @property
    def found_ns(self) -> int | None:
        """What the vault's clock said when the journal was last written to before this opening, if it ever was."""
        return self._journal.found_ns

    @property
    def reserve_bytes(self) -> int:
        return self._settings.reserve_bytes

    @property
    def is_broken(self) -> bool:
        return bool(self._broken)

    @property
    def broken_by(self) -> str:
        """The error that stopped it; empty while it may be written to."""
        return self._broken

    @property
    def newest_damage(self) -> int:
        """Changes whenever records of any keyring come to count as damaged."""
        return self._notes.newest

    def damage_met(self, keyring_id: bytes) -> DamageMet:
        """Changes whenever records of the keyring come to count as damaged, by a read, a lost disk or a run key that is
        given up or distrusted: what was seen whole at another one may not be so.
        """
        return self._notes.met(self._index.keyring_number(keyring_id))

    def recover(self, known_key: Callable[[bytes], bool], tell: Tell = tell_nobody) -> RecoveryReport:
        """Brings containers and index up to the journal. The catalog must have caught up (`replay`) before."""
        parts = Parts(
            self._door,
            self.disks,
            self._settings.vault_id,
            self._index,
            lambda number: self._journal.read_from(number + 1),
            is_forked(self._door, self.disks.copy_directories("journal")),
            tell,
        )
        with self._guarded():
            if not self._names_disks:
                find_unnamed_disks(self.disks, self._index, parts.entries_after)
            recovered = recover(parts, known_key)
        self._containers, self._gone = recovered.containers, recovered.gone
        found = {row.disk_id for row in recovered.containers.values()}
        self.disks.know(with_those_of_containers(self.disks.known, found))
        self._give_up()
        self._open = self._open_containers(recovered)
        findings = self.disks.offline_findings() + self._journal.findings + recovered.findings
        return RecoveryReport(findings, recovered.records_indexed, recovered.records_without_key)

    def know_disks(self, known: Sequence[KnownDisk]) -> None:
        """W. What lies on those that are lost counts as damaged from now on."""
        self.disks.know(known)
        self._give_up()
        self._notes.meet_everywhere()

    @property
    def lacks_rows(self) -> bool:
        """A record without a row may lie on a disk that is away."""
        return self.disks.hold_unread(self.containers())

    def look_after_disks(self) -> bool:
        """Whether this look met one that is gone."""
        return self.disks.look(self._door)

    def room_findings(self) -> list[Finding]:
        """The disks, and the place of the index, that have less room than new records need."""
        return room_findings(self._door, self.disks, self._settings.index_path, self._settings.reserve_bytes)

    def replay(self, after_number: int) -> Iterator[tuple[int, bytes, JournalEntry]]:
        """(number, hash, entry) of everything durable after a position, for the catalog to catch up."""
        for entry in self._journal.read_from(after_number + 1):
            yield entry.position.number, entry.position.hash, entry.decode()

    def append(self, home_disk: int, records: Sequence[StoredRecord]) -> Appended:
        """Takes the records that are not here yet; the first of an id wins, also before it is committed.

        One whose record here is known to be damaged supersedes it. Where they fill more than one container, what fills
        the first is committed on the way; so are PENDING_RECORDS_MAX of them.
        """
        containers = self._writable()
        new, superseding = self._pending.new(records)
        if not new:
            return Appended(0, 0)
        size = sum(len(record.view) for record in new)
        disk = containers.choose(home_disk, size)
        self._room.require_for_records(len(self._pending.rows) + len(new))
        self._append(disk, new, superseding)
        return Appended(len(new), size)

    def append_moved(self, disk: Disk, records: Sequence[StoredRecord]) -> None:
        """W. Copies of records that are here, which take their places with the next commit. NoSpace where they would
        not leave the disk its reserve.
        """
        containers = self._writable()
        containers.require_room(disk, sum(len(record.view) for record in records))
        self._room.require_for_records(len(self._pending.rows) + len(records))
        self._append(disk, records, frozenset())

    def _append(
        self, disk: Disk, records: Sequence[StoredRecord], superseding: Collection[tuple[bytes, bytes]]
    ) -> None:
        containers = self._writable()
        with self._guarded():
            for record in records:
                header = record.header
                if containers.would_seal_unknown(disk, record) or len(self._pending.rows) >= PENDING_RECORDS_MAX:
                    self.commit()  # a sealed container that the journal does not know tells that the journal is old
                number, offset = containers.append(disk, record)
                self._pending.add(record, number, offset, is_superseding=(header.keyring_id, header.id) in superseding)

    def commit(self, entries: Sequence[JournalEntry] = (), removal: Removal = NOTHING_REMOVED) -> Position:
        """Everything appended, these entries and what is removed are durable when this returns; answers may go out.

        NoSpace leaves the store as it was. Records that were taken are not refused any more: half of the reserve is
        for them.
        """
        containers = self._writable()
        payloads = [(entry.kind, encode_payload(entry)) for entry in (*removal_entries(removal), *entries)]
        if payloads:
            self._room.require_for_entries(sum(len(payload) for _, payload in payloads))
        self._room.note_commit(len(self._pending.rows))
        with self._guarded():
            touched = containers.sync()
            first_entry = self._journal.position.number + 1
            for entry in (*container_entries(touched), *map(supersede_entry, self._pending.superseding)):
                self._journal.append(entry.kind, encode_payload(entry))
            for kind, payload in payloads:
                self._journal.append(kind, payload)
            if touched or payloads:
                self._journal.sync()
            damaged = self._notes.damaged.copy()
            if touched or payloads or damaged or self._notes.whole:
                self._apply(touched, first_entry, damaged, removal)
        return self._journal.position

    def missing(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool]:
        """In the order of `ids`: True where no committed record is, or one that is known to be damaged."""
        return self._missing(keyring_id, ids, self.house.dropping)  # taken before the look-up: see there

    def missing_leased(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool]:
        """The same of ids that a run leased before: what a drop asks about just now, and must leave, is not missing."""
        self.house.await_drop()
        return self._missing(keyring_id, ids, frozenset())

    def locate_leased(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
        self.house.await_drop()
        return self._index.lookup(keyring_id, ids)

    def locate(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
        dropping = self.house.dropping
        found = self._index.lookup(keyring_id, ids)
        if not dropping:
            return found
        return [
            None if location is None or (location.keyring_number, id_) in dropping else location
            for id_, location in zip(ids, found, strict=True)
        ]

    def read(self, location: Location, expected_id: bytes) -> bytes:
        """The whole record; RecordDamaged if it is not the one that was stored: the next commit notes that."""
        return self._reads.read(location, expected_id)

    def give_up_keys(self, keyring_id: bytes, key_ids: Sequence[bytes]) -> None:
        """W. Records under these keys can never be opened: each counts as damaged until it is sent again, however well
        it reads.
        """
        self._writable()
        new = [key_id for key_id in key_ids if not self._index.is_key_given_up(keyring_id, key_id)]
        if not new:
            return
        with self._guarded():
            number = self._index.give_up_keys(keyring_id, new)
        self._notes.meet(number)

    def take_back_keys(self, keyring_id: bytes, key_ids: Sequence[bytes]) -> None:
        """W. These open again: what is under them and was not sent again is whole as before."""
        self._writable()
        with self._guarded():
            self._index.take_back_keys(keyring_id, key_ids)

    def is_key_given_up(self, keyring_id: bytes, key_id: bytes) -> bool:
        return self._index.is_key_given_up(keyring_id, key_id)

    def key_numbers(self, keys: Sequence[tuple[bytes, bytes]]) -> frozenset[tuple[int, int]]:
        return self._index.key_numbers(keys)

    def distrust_keys(self, keys: Sequence[tuple[bytes, bytes]]) -> None:
        """W. What lies under these, and no others, counts as damaged until it is sent again."""
        for number in self._index.distrust_keys(self._index.key_numbers(keys)):
            self._notes.meet(number)

    def containers(self) -> list[ContainerRow]:
        """Every container, as of the last commit, by number."""
        return [row for _, row in sorted(self._containers.items())]

    def container_now(self, number: int) -> tuple[ContainerRow | None, bytes | None]:
        """W. As of the last commit, None where it is no more; and, of one that goes on, the encoded directory rows of
        all its records.
        """
        return self._containers.get(number), self._open.rows_of(number) if self._open else None

    def give_up_gone(self, number: int) -> bool:
        """W. Whether the file of this container is gone from its disk, which is here: then what lay in it counts as
        damaged from now on.
        """
        row = self._containers.get(number)
        if row is None or not find_gone(self._door, self.disks, [row]):
            return False
        if number not in self._gone:
            self._gone |= {number}
            self._give_up()
            self._notes.meet_everywhere()
        return True

    def statistics(self) -> StoreStatistics:
        counted = Counted(self._index.record_count(), self._journal.position.number, self.is_broken)
        return store_statistics(self._door, self.disks, self.containers(), counted)

    def close(self) -> None:
        """What was not committed is dropped."""
        if self._open:
            self._open.close()
        self._broken = self._broken or "it was closed"
        self._journal.close()
        self._index.close()

    def _missing(self, keyring_id: bytes, ids: Sequence[bytes], dropping: frozenset[Name]) -> list[bool]:
        present = self._index.present(keyring_id, ids)
        number = self._index.keyring_number(keyring_id)
        damaged = self._notes.damaged
        if not (damaged or dropping):
            return [id_ not in present for id_ in ids]
        return [id_ not in present or (number, id_) in damaged or (number, id_) in dropping for id_ in ids]

    def _row(self, container: int) -> ContainerRow | None:
        return self._containers.get(container)

    def _give_up(self) -> None:
        lost = (n for n, row in self._containers.items() if self.disks.is_given_up(row.disk_id))
        self._index.give_up(self._gone.union(lost))

    def _apply(
        self, touched: Sequence[Touched], first_entry: int, damaged: Mapping[Name, Location], removal: Removal
    ) -> None:
        rows = []
        for item in touched:
            held = self._containers.get(item.number)
            first = held.first_entry if held else first_entry
            rows.append(ContainerRow(item.number, item.disk_id, item.length, item.length, first, item.is_sealed))
        whole = self._notes.whole.copy()
        again = self._pending.well_again(whole.values())
        # Before the index knows them: a reader that finds a record must find its container.
        self._containers.update((row.number, row) for row in rows)
        marks = [(id_, location) for (_, id_), location in damaged.items()]
        records = [*again, *self._pending.rows.values()]
        self._index.apply(
            IndexBatch(marks, records, rows, self._journal.position, dropped=removal.dropped, moved=removal.moved)
        )
        for row in removal.moved:
            self._containers.pop(row.number, None)
        self._pending.clear()
        self._notes.forget(damaged, whole)

    def _writable(self) -> OpenContainers:
        if self._broken:
            raise StoreBroken(f"the store is stopped: {self._broken}; restart vaultd to recover")
        if self._open is None:
            raise StoreError("the store was opened but not recovered yet")
        return self._open

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever goes wrong inside leaves the disks in doubt: the store stays broken and nothing is tried again."""
        try:
            yield
        except BaseException as error:
            self._broken = self._broken or f"{type(error).__name__}: {error}"
            if isinstance(error, OSError):
                if error.errno in FULL:
                    raise NoSpace(f"a disk is full: {error}; free space and restart vaultd") from error
                raise StoreBroken(f"a write failed: {error}; restart vaultd to recover") from error
            raise

    def _open_containers(self, recovered: Recovered) -> OpenContainers:
        settings = ContainerSettings(self._settings.vault_id, self._settings.container_bytes, self._now_ns)
        return OpenContainers(self._door, self.disks, settings, self._room, recovered.next_number, recovered.resumed)
