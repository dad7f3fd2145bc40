"""Makes containers, journal and index agree after any stop: the same code after a clean one, a crash and a lost index.

Invariants: only bytes above the acknowledged length of an open container are cut; damage below it is reported and
stays; only a container that was never acknowledged is removed. Where the journal may be older than the containers both
are kept beside, and as long as something is. While a disk is away, which may have a longer copy of the journal,
nothing is cut or removed. A crash in here is survived by running it again.
Threads: the writer thread only.
"""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.store.acknowledged import EntriesAfter, Group, acknowledged_containers, read_groups, read_superseded
from vaultd.store.container_files import list_containers, taken_numbers
from vaultd.store.container_format import BLOCK_BYTES, DirectoryRow, container_path, encode_row
from vaultd.store.container_reader import (
    ExpectedRecord,
    RecordPlace,
    ScannedRecord,
    read_directory,
    read_header,
    read_record,
)
from vaultd.store.container_writer import ResumedContainer
from vaultd.store.disk_door import Door
from vaultd.store.disk_identity import Disk
from vaultd.store.disk_set import Disks
from vaultd.store.errors import FormatError, NewerFormat, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.group_scan import Loss, scan_group
from vaultd.store.index import CID_PREFIX_BYTES, ContainerRow, Index, IndexBatch, IndexRecord, Location
from vaultd.store.leftovers import has_kept, has_more_than_one_group, is_sealed, keep_container, keep_tail
from vaultd.store.reading_progress import ReadingProgress, Tell
from vaultd.store.record_format import COMPANION_TYPE

_BATCH_RECORDS = 10_000

KnownKey = Callable[[bytes], bool]


class Parts(Struct, frozen=True):
    """What recovery works on. `entries_after` reads the durable journal entries after a number.

    `is_forked`: a copy of the journal with another history is kept beside. What that one acknowledged is not known
    here, so nothing is cut or removed until an operator took it away.
    """

    door: Door
    disks: Disks
    vault_id: bytes
    index: Index
    entries_after: EntriesAfter
    is_forked: bool
    tell: Tell


class Recovered(Struct, frozen=True):
    findings: list[Finding]
    records_indexed: int
    records_without_key: int
    containers: dict[int, ContainerRow]
    resumed: dict[int, ResumedContainer]  # by disk number
    next_number: int


def recover(parts: Parts, known_key: KnownKey) -> Recovered:
    """Run once after opening, when the catalog has caught up: `known_key` says whether a sealed run key is there."""
    return _Recovery(parts, known_key).run()


class _Recovery:
    def __init__(self, parts: Parts, known_key: KnownKey) -> None:
        self._parts = parts
        self._known_key = known_key
        self._known: dict[bytes, bool] = {}
        self._findings: list[Finding] = []
        self._indexed = 0
        self._without_key = 0
        self._batch: list[IndexRecord] = []
        self._superseded: dict[tuple[bytes, bytes], tuple[int, int]] = {}  # where the record of an id lies since then
        self._superseding: dict[tuple[bytes, bytes], IndexRecord] = {}  # those found there
        self._damaged: list[tuple[bytes, Location]] = []
        self._lost: set[tuple[int, bytes]] = set()  # container and cid prefix of records whose id is not known here
        self._resumed: dict[int, ResumedContainer] = {}
        self._keeps_leftovers = False  # where nothing vouches for the journal's end
        self._holds_back = ""  # why nothing is cut, where nothing may be

    def run(self) -> Recovered:
        index = self._parts.index
        rebuilding = index.position() is None
        if self._parts.is_forked:
            sentence = "a copy with another history is kept beside; until it is moved away nothing is cut or removed"
            self._report(Severity.warning, "journal", sentence)
            self._holds_back = "another history of the journal may know them"
        elif self._parts.disks.is_any_away:
            self._holds_back = "a disk is offline, and its copy of the journal may know them"
        containers = acknowledged_containers(index, self._parts.entries_after)
        self._superseded, end = read_superseded(self._parts.entries_after, containers, index.position())
        unknown, passed = self._find_unknown(containers)
        is_old = self._is_journal_old(unknown + passed) | self._lacks_groups(containers, unknown)
        is_old |= has_kept(self._parts.door, self._parts.disks)
        self._keeps_leftovers = is_old or rebuilding or bool(self._holds_back)
        progress = ReadingProgress(containers.values(), self._parts.tell)
        rows: dict[int, ContainerRow] = {}
        for number, row in sorted(containers.items()):
            rows[number] = self._recover_readable(row)
            progress.add(row, self._indexed)
        self._flush()
        self._find_lost()
        index.apply(IndexBatch(damaged=self._damaged, records=list(self._superseding.values())))
        for path in unknown:
            try:
                self._remove_unacknowledged(path)
            except OSError as error:
                self._report(Severity.damage, str(path), f"nothing acknowledges it, but it cannot be removed: {error}")
        held = index.containers()
        changed = [row for number, row in rows.items() if row != held.get(number)]
        index.apply(IndexBatch(containers=changed, position=end))
        next_number = 1 + max(rows.keys() | self._taken_numbers(), default=0)
        return Recovered(self._findings, self._indexed, self._without_key, rows, self._resumed, next_number)

    def _recover_readable(self, row: ContainerRow) -> ContainerRow:
        """A container that the disk refuses does not keep the vault from starting; the next start tries it again."""
        try:
            return self._recover_container(row)
        except OSError as error:
            self._report(Severity.damage, f"container {row.number:012x}", f"the disk refuses it: {error}")
            return row

    def _recover_container(self, row: ContainerRow) -> ContainerRow:
        disk = self._parts.disks.find_id(row.disk_id)
        if disk is None:
            given_up = self._parts.disks.is_given_up(row.disk_id)
            sentence = "is lost: its records are missing until they are sent again" if given_up else "is offline"
            self._report(Severity.warning, f"container {row.number:012x}", f"its disk {row.disk_id.hex()} {sentence}")
            return row
        path = container_path(disk.path, row.number)
        if not self._parts.door.exists(path):
            self._report(Severity.damage, str(path), "the container is gone")
            return row
        if row.is_sealed and row.indexed_length == row.acknowledged_length:
            return row
        damaged = len(self._findings)
        if row.is_sealed:
            self._check_size(path, row)
            self._check_header(path, row)
            self._index_sealed(path, row)
        else:
            groups = self._groups(row)
            if groups is None:
                return row
            row = self._believe_journal(path, row, groups)
            self._check_size(path, row)
            self._check_header(path, row)
            rows = self._index_groups(path, row, groups)
            if len(self._findings) == damaged:
                self._resumed[disk.number] = ResumedContainer(row.number, row.acknowledged_length, bytes(rows))
        if len(self._findings) > damaged:
            return row  # not all of it is indexed: the next start looks again, the disk may read by then
        return msgspec.structs.replace(row, indexed_length=row.acknowledged_length)

    def _believe_journal(self, path: Path, row: ContainerRow, groups: list[Group]) -> ContainerRow:
        """Only the journal says what was acknowledged; where it says less than the index nothing is cut either."""
        held = groups[-1].end if groups else 0
        if held == row.acknowledged_length:
            return row
        sentence = f"the index acknowledges {row.acknowledged_length} bytes of it, the journal {held}"
        self._report(Severity.damage, str(path), f"{sentence}; the greater length is kept")
        return msgspec.structs.replace(row, acknowledged_length=max(held, row.acknowledged_length))

    def _check_size(self, path: Path, row: ContainerRow) -> None:
        """Removes what was never acknowledged from an open container; a sealed one is never touched."""
        size = self._parts.door.size(path)
        left = f"{size - row.acknowledged_length} bytes behind the acknowledged ones were left"
        if size < row.acknowledged_length:
            sentence = f"it has {size} bytes of {row.acknowledged_length} that were acknowledged"
            self._report(Severity.damage, str(path), sentence)
        elif size > row.acknowledged_length and row.is_sealed:
            sentence = f"it is longer than the {row.acknowledged_length} bytes it was sealed with"
            self._report(Severity.warning, str(path), sentence)
        elif size > row.acknowledged_length and self._holds_back:
            self._report(Severity.warning, str(path), f"{left}: {self._holds_back}")
        elif size > row.acknowledged_length:
            try:
                self._cut(path, row.acknowledged_length)
            except OSError as error:  # what was acknowledged is indexed all the same; it is not gone on with
                severity = Severity.warning if error.errno == errno.EROFS else Severity.damage
                self._report(severity, str(path), f"{left}: the disk refuses the cut: {error}")

    def _cut(self, path: Path, length: int) -> None:
        door = self._parts.door
        if self._keeps_leftovers:
            beside = keep_tail(door, path, length)
            sentence = f"what the journal does not acknowledge was moved to {beside.name}"
            self._report(Severity.warning, str(path), sentence)
        handle = door.open_write(path)
        try:
            door.truncate(handle, length)
            door.fdatasync(handle)
        finally:
            door.close(handle)

    def _groups(self, row: ContainerRow) -> list[Group] | None:
        """None where the journal, which was whole when these entries were applied, cannot be read there any more."""
        try:
            return read_groups(self._parts.entries_after(row.first_entry - 1), row.number)
        except NewerFormat:
            raise
        except StoreError as error:
            place = f"container {row.number:012x}"
            self._report(Severity.damage, place, f"what the journal says about it cannot be read: {error}; it was left")
            return None

    def _check_header(self, path: Path, row: ContainerRow) -> None:
        try:
            header = read_header(self._parts.door, path)
        except (FormatError, OSError) as error:
            self._report(Severity.damage, str(path), str(error))
            return
        if header.number != row.number or header.vault_id != self._parts.vault_id:
            sentence = f"its header names container {header.number:012x} of vault {header.vault_id.hex()}"
            self._report(Severity.damage, str(path), sentence)

    def _index_sealed(self, path: Path, row: ContainerRow) -> None:
        """A directory vouches for every cid, so damage costs only the records it hit."""
        try:
            directory = read_directory(self._parts.door, path, row.acknowledged_length)
        except (FormatError, OSError) as error:
            self._report(Severity.damage, str(path), f"{error}; its records are taken as the journal names them")
            self._index_groups(path, row, self._groups(row) or [])
            return
        for entry in directory:
            if entry.offset >= row.indexed_length:
                self._index_entry(path, row.number, entry)

    def _index_entry(self, path: Path, number: int, entry: DirectoryRow) -> None:
        place = RecordPlace(path, entry.offset, entry.length)
        try:
            read_record(self._parts.door, place, ExpectedRecord(entry.id, entry.cid))
        except (RecordDamaged, OSError) as error:
            self._report(Severity.damage, str(path), str(error))
            return
        self._add(_index_record(number, entry), sealed=entry.type != COMPANION_TYPE)

    def _index_groups(self, path: Path, row: ContainerRow, groups: Sequence[Group]) -> bytearray:
        """Holds every record against the journal and indexes those that are new; the directory rows of all."""
        rows = bytearray()
        for group in groups:
            for item in scan_group(self._parts.door, path, group):
                if isinstance(item, Loss):
                    self._report(Severity.damage, str(path), item.sentence)
                    self._note_damage(row.number, item)
                    continue
                entry = _directory_row(item)
                rows += encode_row(entry)
                if item.offset >= row.indexed_length:
                    self._add(_index_record(row.number, entry), sealed=item.header.sealed)
        return rows

    def _note_damage(self, number: int, loss: Loss) -> None:
        """What is lost is asked for again: a record whose header still says its id is marked, others are looked for."""
        if loss.record is None or not self._is_noted(number, loss.record):
            self._lost.update((number, name[:CID_PREFIX_BYTES]) for name in loss.cids)

    def _is_noted(self, number: int, record: ScannedRecord) -> bool:
        header = record.header
        held = self._parts.index.held(header.keyring_id, [header.id])
        if not held.get(header.id):
            return header.id in held  # it is known to be damaged
        (location,) = self._parts.index.lookup(header.keyring_id, [header.id])
        if location is None or (location.container, location.offset) != (number, record.offset):
            return False
        self._damaged.append((header.id, location))
        return True

    def _find_lost(self) -> None:
        """Only the index still knows the ids of records whose header is gone; it is read through for them."""
        if not self._lost:
            return
        for row in self._parts.index.rows():
            location = row.location
            if location and not location.is_damaged and (location.container, location.cid_prefix) in self._lost:
                self._damaged.append((row.id, location))

    def _add(self, record: IndexRecord, *, sealed: bool) -> None:
        if sealed and not self._is_known(record.key_id):
            self._without_key += 1
            return
        self._indexed += 1
        name = (record.keyring_id, record.id)
        if self._superseded.get(name) == (record.container, record.offset):
            self._superseding[name] = record
            return
        self._batch.append(record)
        if len(self._batch) >= _BATCH_RECORDS:
            self._flush()

    def _flush(self) -> None:
        """The rows of containers and the position follow in the last transaction, so a crash repeats the whole."""
        if self._batch:
            self._parts.index.apply(IndexBatch(records=_first_of_each(self._batch), first_wins=True))
            self._batch = []

    def _is_known(self, key_id: bytes) -> bool:
        if key_id not in self._known:
            self._known[key_id] = self._known_key(key_id)
        return self._known[key_id]

    def _find_unknown(self, rows: dict[int, ContainerRow]) -> tuple[list[Path], list[Path]]:
        """Containers that index and journal do not know: those whose number is free, which a crash left as a rule, and
        those whose number was passed."""
        known = max(rows, default=0)
        unknown, passed = [], []
        for disk in self._parts.disks.online:
            for number, path in self._list_containers(disk):
                row = rows.get(number)
                if row and row.disk_id == disk.disk_id:
                    continue
                if row or number <= known:
                    sentence = "journal and index do not know this container; it was left"
                    self._report(Severity.warning, str(path), sentence)
                    passed.append(path)
                else:
                    with suppress(FormatError, OSError):  # torn, as a rule; one of a later version is an error
                        read_header(self._parts.door, path)
                    unknown.append(path)
        return unknown, passed

    def _taken_numbers(self) -> set[int]:
        taken: set[int] = set()
        for disk in self._parts.disks.online:
            with suppress(OSError):  # told when its containers were listed
                taken |= taken_numbers(self._parts.door, disk)
        return taken

    def _list_containers(self, disk: Disk) -> list[tuple[int, Path]]:
        try:
            return list(list_containers(self._parts.door, disk))
        except OSError as error:
            self._report(Severity.damage, str(disk.path), f"its containers cannot be listed: {error}")
            return []

    def _is_journal_old(self, unknown: Sequence[Path]) -> bool:
        """A sealed container that it does not know: its disks came back from an older copy, as far as can be told."""
        sealed = [path for path in unknown if is_sealed(self._parts.door, path)]
        for path in sealed:
            sentence = "a sealed container that the journal does not know: its disks may have come from an older copy"
            self._report(Severity.damage, str(path), sentence)
        return bool(sealed)

    def _lacks_groups(self, rows: dict[int, ContainerRow], unknown: Sequence[Path]) -> bool:
        """A crash leaves a part of one group at most: where there are more, the first was acknowledged."""
        starts = dict.fromkeys(unknown, BLOCK_BYTES)
        for row in rows.values():
            disk = self._parts.disks.find_id(row.disk_id)
            if disk and not row.is_sealed:
                starts[container_path(disk.path, row.number)] = row.acknowledged_length
        found = [path for path, start in starts.items() if has_more_than_one_group(self._parts.door, path, start)]
        for path in found:
            sentence = "groups of records that the journal does not know: its disks may have come from an older copy"
            self._report(Severity.damage, str(path), sentence)
        return bool(found)

    def _remove_unacknowledged(self, path: Path) -> None:
        door = self._parts.door
        if self._keeps_leftovers:
            beside = keep_container(door, path)
            self._report(Severity.warning, str(path), f"the journal does not know it; it was renamed to {beside.name}")
        else:
            door.unlink(path)
            door.fsync_directory(path.parent)

    def _report(self, severity: Severity, place: str, sentence: str) -> None:
        self._findings.append(Finding(severity, place, sentence))


def _first_of_each(batch: Sequence[IndexRecord]) -> list[IndexRecord]:
    """Of two records of one id the first in the container wins."""
    found: dict[tuple[bytes, bytes], IndexRecord] = {}
    for record in batch:
        found.setdefault((record.keyring_id, record.id), record)
    return list(found.values())


def _directory_row(item: ScannedRecord) -> DirectoryRow:
    header = item.header
    length = header.record_length
    return DirectoryRow(item.offset, length, header.type, header.keyring_id, header.key_id, header.id, item.cid)


def _index_record(number: int, entry: DirectoryRow) -> IndexRecord:
    return IndexRecord(
        entry.keyring_id, entry.id, entry.key_id, number, entry.offset, entry.length, entry.type, entry.cid
    )
