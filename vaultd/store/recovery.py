"""Makes containers, journal and index agree after any stop: the same code after a clean one, a crash and a lost index.

Invariants: only bytes above the acknowledged length of an open container are cut; damage below it is reported and
stays; only a container that was never acknowledged is removed. A crash in here is survived by running it again.
Threads: the writer thread only.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.store.container_format import (
    BLOCK_BYTES,
    SUFFIX,
    DirectoryRow,
    container_path,
    encode_row,
)
from vaultd.store.container_reader import (
    ExpectedRecord,
    Gap,
    RecordPlace,
    ScannedRecord,
    Stretch,
    read_directory,
    read_header,
    read_record,
    scan,
)
from vaultd.store.container_writer import ResumedContainer
from vaultd.store.disk_door import Door
from vaultd.store.disks import Disk, Disks
from vaultd.store.errors import FormatError, RecordDamaged
from vaultd.store.findings import Finding, Severity
from vaultd.store.index import CID_PREFIX_BYTES, ContainerRow, Index, IndexBatch, IndexRecord
from vaultd.store.journal_format import EntryKind, RawEntry
from vaultd.store.record_format import COMPANION_TYPE

_BATCH_RECORDS = 10_000
_BACK_ENTRIES = 1024  # how far back the journal is read at first
_UNACKNOWLEDGED_SUFFIX = ".unacknowledged"

KnownKey = Callable[[bytes], bool]


class Parts(Struct, frozen=True):
    """What recovery works on. `entries_after` reads the durable journal entries after a number."""

    door: Door
    disks: Disks
    vault_id: bytes
    index: Index
    entries_after: Callable[[int], Iterator[RawEntry]]


class Recovered(Struct, frozen=True):
    findings: list[Finding]
    records_indexed: int
    records_without_key: int
    containers: dict[int, ContainerRow]
    resumed: dict[int, ResumedContainer]  # by disk number
    next_number: int


class Acknowledged(Struct):
    """A container as the journal knows it; `commits` are its acknowledged lengths since the index was written."""

    row: ContainerRow
    commits: list[int]


def acknowledged_containers(
    index: Index, entries_after: Callable[[int], Iterator[RawEntry]]
) -> dict[int, Acknowledged]:
    """The index's table, brought up to the end of the journal. `indexed_length` stays what the index has."""
    found = {number: Acknowledged(row, []) for number, row in index.containers().items()}
    position = index.position()
    for entry in entries_after(position.number if position else 0):
        acknowledge_entry(found, entry)
    return found


def acknowledge_entry(found: dict[int, Acknowledged], entry: RawEntry) -> None:
    """Takes what one journal entry says about containers; entries of other kinds are only checked."""
    details = entry.decode().details
    if entry.kind == EntryKind.group:
        for number, disk_id, length in details["containers"]:
            _acknowledge(found, number, disk_id, length)
    elif entry.kind == EntryKind.container_sealed:
        number = details["number"]
        _acknowledge(found, number, details["disk"], details["length"])
        found[number].row = msgspec.structs.replace(found[number].row, is_sealed=True)


def recover(parts: Parts, known_key: KnownKey) -> Recovered:
    """Run once after opening, when the catalog has caught up: `known_key` says whether a sealed run key is there."""
    return _Recovery(parts, known_key).run()


def list_containers(door: Door, disk: Disk) -> Iterator[tuple[int, Path]]:
    """Every container file of a disk by the number in its name."""
    root = disk.directory("containers")
    for name in door.listdir(root):
        if len(name) != 4 or set(name) - set("0123456789abcdef"):
            continue  # a stray file, or lost+found of a file system
        for file in door.listdir(root / name):
            stem = file.removesuffix(SUFFIX)
            if stem != file and len(stem) == 12 and not set(stem) - set("0123456789abcdef"):
                yield int(stem, 16), root / name / file


def _acknowledge(found: dict[int, Acknowledged], number: int, disk_id: bytes, length: int) -> None:
    if number not in found:
        found[number] = Acknowledged(ContainerRow(number, disk_id, 0, 0, False), [])
    container = found[number]
    container.row = msgspec.structs.replace(container.row, acknowledged_length=length)
    if not container.commits or container.commits[-1] != length:
        container.commits.append(length)


class _Recovery:
    def __init__(self, parts: Parts, known_key: KnownKey) -> None:
        self._parts = parts
        self._known_key = known_key
        self._known: dict[bytes, bool] = {}
        self._findings: list[Finding] = []
        self._indexed = 0
        self._without_key = 0
        self._batch: list[IndexRecord] = []
        self._resumed: dict[int, ResumedContainer] = {}

    def run(self) -> Recovered:
        index = self._parts.index
        rebuilding = index.position() is None
        containers = acknowledged_containers(index, self._parts.entries_after)
        end = index.position()
        for entry in self._parts.entries_after(end.number if end else 0):
            end = entry.position
        rows = {number: self._recover_container(container) for number, container in sorted(containers.items())}
        self._flush()
        known = self._remove_unacknowledged(rows, rebuilding=rebuilding)
        held = index.containers()
        changed = [row for number, row in rows.items() if row != held.get(number)]
        index.apply(IndexBatch(containers=changed, position=end))
        return Recovered(self._findings, self._indexed, self._without_key, rows, self._resumed, known + 1)

    def _recover_container(self, container: Acknowledged) -> ContainerRow:
        row = container.row
        if row.is_sealed and row.indexed_length == row.acknowledged_length:
            return row
        disk = self._parts.disks.find_id(row.disk_id)
        if disk is None:
            self._report(Severity.warning, f"container {row.number:012x}", f"its disk {row.disk_id.hex()} is offline")
            return row
        path = container_path(disk.path, row.number)
        if not self._parts.door.exists(path):
            self._report(Severity.damage, str(path), "the container is gone")
            return row
        self._cut(path, container)
        self._check_header(path, row)
        if row.is_sealed:
            self._index_sealed(path, container)
        else:
            self._index_open(path, container, disk)
        return msgspec.structs.replace(row, indexed_length=row.acknowledged_length)

    def _cut(self, path: Path, container: Acknowledged) -> None:
        """Removes what was never acknowledged from an open container; a sealed one is never touched.

        Only the journal says what was acknowledged: where the index says otherwise nothing is cut.
        """
        row = container.row
        size = self._parts.door.size(path)
        if size < row.acknowledged_length:
            sentence = f"it has {size} bytes of {row.acknowledged_length} that were acknowledged"
            self._report(Severity.damage, str(path), sentence)
        elif size > row.acknowledged_length and row.is_sealed:
            sentence = f"it is longer than the {row.acknowledged_length} bytes it was sealed with"
            self._report(Severity.warning, str(path), sentence)
        elif size > row.acknowledged_length:
            held = row.acknowledged_length if container.commits else self._journal_length(row.number)
            if held != row.acknowledged_length:
                sentence = f"the index acknowledges {row.acknowledged_length} bytes of it, the journal {held}"
                self._report(Severity.damage, str(path), f"{sentence}; nothing was cut: move the index away")
                return
            handle = self._parts.door.open_write(path)
            try:
                self._parts.door.truncate(handle, row.acknowledged_length)
                self._parts.door.fdatasync(handle)
            finally:
                self._parts.door.close(handle)

    def _journal_length(self, number: int) -> int | None:
        """The length that the newest entry of the journal acknowledges; read from behind, further back each time."""
        position = self._parts.index.position()
        end = position.number if position else 0
        back = _BACK_ENTRIES
        while True:
            start = max(end - back, 0)
            found: dict[int, Acknowledged] = {}
            for entry in self._parts.entries_after(start):
                acknowledge_entry(found, entry)
            if number in found:
                return found[number].row.acknowledged_length
            if start == 0:
                return None
            back *= 16

    def _check_header(self, path: Path, row: ContainerRow) -> None:
        try:
            header = read_header(self._parts.door, path)
        except FormatError as error:
            self._report(Severity.damage, str(path), str(error))
            return
        if header.number != row.number or header.vault_id != self._parts.vault_id:
            sentence = f"its header names container {header.number:012x} of vault {header.vault_id.hex()}"
            self._report(Severity.damage, str(path), sentence)

    def _index_sealed(self, path: Path, container: Acknowledged) -> None:
        """A directory vouches for every cid, so damage costs only the records it hit."""
        row = container.row
        try:
            directory = read_directory(self._parts.door, path, row.acknowledged_length)
        except FormatError as error:
            self._report(Severity.damage, str(path), f"{error}; its records are taken as they follow one another")
            for start, end in _stretches(container):
                self._index_stretch(path, row.number, start, end)
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

    def _index_open(self, path: Path, container: Acknowledged, disk: Disk) -> None:
        """Indexes what is new, holds the rest against the index, and keeps the container open if nothing is wrong."""
        row = container.row
        damaged = len(self._findings)
        rows = self._check_indexed(path, row)
        for start, end in _stretches(container):
            rows += self._index_stretch(path, row.number, start, end)
        if len(self._findings) == damaged and self._parts.door.size(path) == row.acknowledged_length:
            self._resumed[disk.number] = ResumedContainer(row.number, row.acknowledged_length, bytes(rows))

    def _index_stretch(self, path: Path, number: int, start: int, end: int) -> bytearray:
        """One commit's records. After damage its rest is not believed: only its own headers would vouch for it."""
        rows = bytearray()
        for item in scan(self._parts.door, path, Stretch(start, self._readable_end(path, end))):
            if isinstance(item, Gap):
                sentence = f"damage at offset {item.offset}: {item.sentence}; up to offset {end} nothing is indexed"
                self._report(Severity.damage, str(path), sentence)
                return rows
            entry = _directory_row(item)
            self._add(_index_record(number, entry), sealed=item.header.sealed)
            rows += encode_row(entry)
        return rows

    def _check_indexed(self, path: Path, row: ContainerRow) -> bytearray:
        rows = bytearray()
        batch: list[ScannedRecord] = []
        end = self._readable_end(path, row.indexed_length)
        if row.indexed_length <= BLOCK_BYTES:
            return rows
        for item in scan(self._parts.door, path, Stretch(BLOCK_BYTES, end)):
            if isinstance(item, Gap):
                sentence = f"damage at offset {item.offset}, {item.length} bytes: {item.sentence}"
                self._report(Severity.damage, str(path), sentence)
                continue
            rows += encode_row(_directory_row(item))
            batch.append(item)
            if len(batch) == _BATCH_RECORDS:
                self._compare(path, row.number, batch)
                batch = []
        self._compare(path, row.number, batch)
        return rows

    def _compare(self, path: Path, number: int, batch: Sequence[ScannedRecord]) -> None:
        for item in batch:
            try:
                (location,) = self._parts.index.lookup(item.header.keyring_id, [item.header.id])
            except RecordDamaged as error:
                self._report(Severity.damage, str(self._parts.index.path), str(error))
                continue
            is_here = location and (location.container, location.offset) == (number, item.offset)
            if location and is_here and location.cid_prefix != item.cid[:CID_PREFIX_BYTES]:
                where = f"record {item.header.id.hex()} at offset {item.offset}"
                self._report(Severity.damage, str(path), f"{where} is damaged: its bytes do not hold their cid")

    def _add(self, record: IndexRecord, *, sealed: bool) -> None:
        if sealed and not self._is_known(record.key_id):
            self._without_key += 1
            return
        self._batch.append(record)
        self._indexed += 1
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

    def _remove_unacknowledged(self, rows: dict[int, ContainerRow], *, rebuilding: bool) -> int:
        """Removes containers that a crash left before their first acknowledgement; the highest number in use."""
        known = max(rows, default=0)
        door = self._parts.door
        for disk in self._parts.disks.online:
            for number, path in list(list_containers(door, disk)):
                row = rows.get(number)
                if row and row.disk_id == disk.disk_id:
                    continue
                if row or number <= known:
                    sentence = "journal and index do not know this container; it was left"
                    self._report(Severity.warning, str(path), sentence)
                    continue
                if rebuilding:
                    # Without the index nothing vouches for the journal's end: keep the bytes out of the way.
                    door.rename(path, path.with_name(path.name + _UNACKNOWLEDGED_SUFFIX))
                    self._report(Severity.warning, str(path), "it was never acknowledged and was renamed")
                else:
                    door.unlink(path)
                door.fsync_directory(path.parent)
        return known

    def _readable_end(self, path: Path, end: int) -> int:
        return min(end, self._parts.door.size(path))

    def _report(self, severity: Severity, place: str, sentence: str) -> None:
        self._findings.append(Finding(severity, place, sentence))


def _stretches(container: Acknowledged) -> Iterator[tuple[int, int]]:
    """The commits that the index has not seen: each begins on a block boundary with a record."""
    start = max(container.row.indexed_length, BLOCK_BYTES)
    for end in container.commits:
        if end > start:
            yield start, end
            start = end
    if start < container.row.acknowledged_length:
        yield start, container.row.acknowledged_length


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
