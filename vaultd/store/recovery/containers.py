"""Brings one container after the other up to the journal: checks what is there, cuts what nothing acknowledges, and
finds the records that the index does not have.

Invariants: only bytes above the acknowledged length of an open container are cut; damage below it is reported and
stays; a sealed container is never touched. Threads: the writer thread only.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.store.containers.format import DirectoryRow, container_path, encode_row
from vaultd.store.containers.reader import (
    ExpectedRecord,
    RecordPlace,
    ScannedRecord,
    read_directory,
    read_header,
    read_record,
)
from vaultd.store.containers.writer import ResumedContainer
from vaultd.store.disk_door import is_gone
from vaultd.store.errors import FormatError, NewerFormat, RecordDamaged, StoreError
from vaultd.store.findings import Findings, Severity
from vaultd.store.index.acknowledged import Group, read_groups
from vaultd.store.index.group_scan import Loss, scan_group
from vaultd.store.index_rows import ContainerRow, IndexRecord
from vaultd.store.record_format import COMPANION_TYPE
from vaultd.store.recovery.found_records import FoundRecords
from vaultd.store.recovery.leftovers import keep_tail
from vaultd.store.recovery.parts import Parts
from vaultd.store.refusals import LOSES_NOTHING


class Leftovers(Struct, frozen=True):
    """What is done with bytes that nothing acknowledges."""

    keeps: bool  # a copy of them, where nothing vouches for the journal's end
    holds_back: str  # why nothing is cut, where nothing may be


class ContainerRecovery:
    def __init__(self, parts: Parts, records: FoundRecords, leftovers: Leftovers, findings: Findings) -> None:
        self.resumed: dict[int, ResumedContainer] = {}  # by disk number: those that are gone on with
        self._parts = parts
        self._records = records
        self._keeps_leftovers = leftovers.keeps
        self._holds_back = leftovers.holds_back
        self._findings = findings.all
        self._report = findings.report

    def recover(self, row: ContainerRow) -> ContainerRow:
        """A container that the disk refuses does not keep the vault from starting; the next start tries it again."""
        try:
            return self._recover(row)
        except OSError as error:
            self._report(Severity.damage, f"container {row.number:012x}", f"the disk refuses it: {error}")
            return row

    def _recover(self, row: ContainerRow) -> ContainerRow:
        disk = self._parts.disks.find_id(row.disk_id)
        if disk is None:
            given_up = self._parts.disks.is_given_up(row.disk_id)
            sentence = "is lost: its records are missing until they are sent again" if given_up else "is offline"
            self._report(Severity.warning, f"container {row.number:012x}", f"its disk {row.disk_id.hex()} {sentence}")
            return row
        path = container_path(disk.path, row.number)
        if is_gone(self._parts.door, path):
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
                self.resumed[disk.number] = ResumedContainer(row.number, row.acknowledged_length, bytes(rows))
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
                severity = Severity.warning if error.errno in LOSES_NOTHING else Severity.damage
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
        if self._records.is_dropped(number, entry.offset):
            return
        place = RecordPlace(path, entry.offset, entry.length)
        try:
            read_record(self._parts.door, place, ExpectedRecord(entry.id, entry.cid))
        except (RecordDamaged, OSError) as error:
            self._report(Severity.damage, str(path), str(error))
            if isinstance(error, RecordDamaged):  # what the disk refuses to read may be good
                self._records.note_lost(number, entry.offset, entry.keyring_id, entry.id)
            return
        self._records.add(_index_record(number, entry), sealed=entry.type != COMPANION_TYPE)

    def _index_groups(self, path: Path, row: ContainerRow, groups: Sequence[Group]) -> bytearray:
        """Holds every record against the journal and indexes those that are new; the directory rows of all."""
        rows = bytearray()
        for group in groups:
            for item in scan_group(self._parts.door, path, group):
                if isinstance(item, Loss):
                    self._report(Severity.damage, str(path), item.sentence)
                    self._records.note_damage(row.number, item)
                    continue
                entry = _directory_row(item)
                rows += encode_row(entry)
                if item.offset >= row.indexed_length:
                    self._records.add(_index_record(row.number, entry), sealed=item.header.sealed)
        return rows


def _directory_row(item: ScannedRecord) -> DirectoryRow:
    header = item.header
    length = header.record_length
    return DirectoryRow(item.offset, length, header.type, header.keyring_id, header.key_id, header.id, item.cid)


def _index_record(number: int, entry: DirectoryRow) -> IndexRecord:
    return IndexRecord(
        entry.keyring_id, entry.id, entry.key_id, number, entry.offset, entry.length, entry.type, entry.cid
    )
