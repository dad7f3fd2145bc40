"""Checks containers against themselves, their directories and the index."""

from collections.abc import Container, Mapping
from pathlib import Path

from msgspec.structs import replace

from vaultd.store.check.faults import Fault, Faults
from vaultd.store.check.journal import JournalCheck
from vaultd.store.containers.files import list_containers
from vaultd.store.containers.format import BLOCK_BYTES, DirectoryRow, container_path
from vaultd.store.containers.reader import (
    Gap,
    ScannedRecord,
    Stretch,
    check_directory_padding,
    read_directory,
    read_header,
    scan,
)
from vaultd.store.disk_door import Door, is_gone
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import FormatError, RecordDamaged
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.acknowledged import Group
from vaultd.store.index.group_scan import Loss, scan_group
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import ReadingProgress, Tell, tell_nobody
from vaultd.store.index.record_row import CID_PREFIX_BYTES
from vaultd.store.index_rows import ContainerRow


class ContainerCheck:
    """What it finds is in `findings`, but for what acknowledged bytes of containers cost: that is in `faults`."""

    def __init__(self, door: Door, disks: Disks, vault_id: bytes, *, read_data: bool) -> None:
        self.containers = 0
        self.records = 0
        self.record_bytes = 0
        self._door = door
        self._disks = disks
        self._vault_id = vault_id
        self._read_data = read_data
        self.findings: list[Finding] = []
        self.faults = Faults()
        self._gone: set[int] = set()  # containers that are gone, or whose end is
        self._unread: set[int] = set()  # those that the disk does not give, or not all of

    @property
    def unchecked(self) -> list[str]:
        """What of the disks that are here could not be looked at, in words."""
        parts = (("is gone", self._gone), ("cannot be read", self._unread))
        return [f"what {how} of {_counted(len(containers))}" for how, containers in parts if containers]

    def run(self, journal: JournalCheck, index: Index | None, tell: Tell = tell_nobody) -> None:
        rows = journal.containers
        held = index.containers() if index else {}
        here = [row for row in rows.values() if self._disks.find_id(row.disk_id)]
        progress = ReadingProgress(map(_from_its_begin, here), tell)
        for number, row in sorted(rows.items()):
            self.containers += 1
            disk = self._disks.find_id(row.disk_id)
            if disk is None:
                continue  # told once for its disk
            path = container_path(disk.path, number)
            if index and (held.get(number) is None or held[number].acknowledged_length > row.acknowledged_length):
                self._report(Severity.warning, path, "the index knows another length of it than the journal")
            try:
                self._check_container(path, row, journal, index)
            except OSError as error:
                self.cannot_read(number, path, error)
            progress.add(_from_its_begin(row), self.records)
        self._check_unknown(rows, journal.moved)

    def cannot_read(self, number: int, path: Path, error: OSError) -> None:
        self._unread.add(number)
        self.faults.whole(number, str(path), f"the disk cannot be read: {error}")

    def _check_container(self, path: Path, row: ContainerRow, journal: JournalCheck, index: Index | None) -> None:
        if is_gone(self._door, path):
            self._gone.add(row.number)
            self.faults.whole(row.number, str(path), "the container is gone")
            return
        size = self._door.size(path)
        if size > row.acknowledged_length:
            sentence = f"{size - row.acknowledged_length} bytes behind the acknowledged ones are cut at the next start"
            self._report(Severity.warning, path, sentence)
        self._check_header(path, row)
        if row.is_sealed:
            self._check_records(path, row, self._check_directory(path, row), index)
        else:
            for group in journal.groups(row):
                self._check_group(path, row.number, group, index)
        if size < row.acknowledged_length:
            self._gone.add(row.number)
            self.faults.cut(row.number, str(path), size, row.acknowledged_length)

    def _check_header(self, path: Path, row: ContainerRow) -> None:
        try:
            header = read_header(self._door, path)
        except (FormatError, OSError) as error:
            self._report_unread(path, row.number, error)
            return
        if header.number != row.number or header.vault_id != self._vault_id:
            self._report(Severity.damage, path, f"its header names container {header.number:012x} of another place")

    def _check_directory(self, path: Path, row: ContainerRow) -> dict[int, DirectoryRow] | None:
        """By offset, or None where the directory cannot be read."""
        try:
            directory = read_directory(self._door, path, row.acknowledged_length)
            check_directory_padding(self._door, path, row.acknowledged_length)
            return {entry.offset: entry for entry in directory}
        except (FormatError, OSError) as error:
            self._report_unread(path, row.number, error)
            return None

    def _check_records(
        self, path: Path, row: ContainerRow, directory: dict[int, DirectoryRow] | None, index: Index | None
    ) -> None:
        end = min(row.acknowledged_length, self._door.size(path))
        unseen = set(directory or ())
        for item in scan(self._door, path, Stretch(BLOCK_BYTES, end, self._read_data)):
            if isinstance(item, Gap):
                self._note_gap(path, row.number, item)
                continue
            self._count(item)
            unseen.discard(item.offset)
            self._check_record(path, row.number, item, directory)
            if index and self._read_data:
                self._check_against_index(path, row.number, item, index)
        for offset in sorted(unseen):
            self._note_unseen(path, row.number, (directory or {})[offset])

    def _check_group(self, path: Path, number: int, group: Group, index: Index | None) -> None:
        """Without `read_data` only how many records there are can be held against the journal."""
        if self._read_data:
            for item in scan_group(self._door, path, group):
                if isinstance(item, Loss):
                    self._note_loss(path, number, item)
                    continue
                self._count(item)
                if index:
                    self._check_against_index(path, number, item, index)
            return
        held, is_whole = 0, True
        for found in scan(self._door, path, Stretch(group.start, min(group.end, self._door.size(path)), False)):
            if isinstance(found, Gap):
                self._note_gap(path, number, found)
                is_whole = False
            else:
                held += 1
                self._count(found)
        if is_whole and held != len(group.names()) and self._door.size(path) >= group.end:
            sentence = f"{held} records lie between offset {group.start} and {group.end}"
            self._report(Severity.damage, path, f"{sentence}, but the journal names {len(group.names())}")

    def _count(self, item: ScannedRecord) -> None:
        self.records += 1
        self.record_bytes += item.header.record_length

    def _note_gap(self, path: Path, number: int, gap: Gap) -> Fault:
        self._note_unread(number, gap)
        return self.faults.stretch(number, str(path), gap.offset, gap.offset + gap.length, gap.sentence)

    def _note_unread(self, number: int, gap: Gap) -> None:
        if gap.is_unreadable:
            self._unread.add(number)

    def _note_unseen(self, path: Path, number: int, entry: DirectoryRow) -> None:
        end = entry.offset + entry.length
        fault = self.faults.at(number, entry.offset, end)
        if fault is None:
            sentence = "the directory names it, and it is not there"
            fault = self.faults.stretch(number, str(path), entry.offset, end, sentence)
        self.faults.name(fault, entry)

    def _note_loss(self, path: Path, number: int, loss: Loss) -> None:
        cids = [(number, name) for name in loss.cids]
        if loss.gap is None:
            self.faults.nowhere(str(path), loss.sentence, cids, "the journal names it, and it is not there")
            return
        self._note_unread(number, loss.gap)
        start, end = loss.gap.offset, loss.gap.offset + loss.gap.length
        why = "its bytes do not hold the cid that the journal names" if loss.record else loss.gap.sentence
        fault = self.faults.stretch(number, str(path), start, end, why, loss.sentence)
        self.faults.lost(fault, cids)
        if loss.record:
            self.faults.know(loss.record.header.id, fault)
            fault.keyring_id = loss.record.header.keyring_id
            if len(loss.cids) == 1:
                self.faults.lay_there(fault, loss.record.header.keyring_id, loss.record.header.id)

    def _note_record(self, path: Path, number: int, item: ScannedRecord, why: str, *, is_vouched: bool = False) -> None:
        end = item.offset + item.header.record_length
        if self.faults.at(number, item.offset, end) is None:
            fault = self.faults.stretch(number, str(path), item.offset, end, why)
            fault.note(item.header.id, item.offset, item.header.record_length, item.header.keyring_id)
            if is_vouched:
                self.faults.lay_there(fault, item.header.keyring_id, item.header.id)
            self.faults.know(item.header.id, fault)

    def _check_record(
        self, path: Path, number: int, item: ScannedRecord, directory: dict[int, DirectoryRow] | None
    ) -> None:
        if directory is None:
            return
        entry = directory.get(item.offset)
        if entry is None:
            self._note_record(path, number, item, "it is not in the directory")
        elif self._read_data and entry.cid != item.cid:
            sentence = "its bytes do not hold the directory's cid"
            self._note_record(path, number, item, sentence, is_vouched=entry.id == item.header.id)

    def _check_against_index(self, path: Path, number: int, item: ScannedRecord, index: Index) -> None:
        try:
            (location,) = index.lookup(item.header.keyring_id, [item.header.id])
        except RecordDamaged:
            return  # the check of the index names the row
        is_here = location and (location.container, location.offset) == (number, item.offset)
        if location and is_here and location.cid_prefix != item.cid[:CID_PREFIX_BYTES]:
            self._note_record(path, number, item, "its bytes do not hold the index's cid")

    def _check_unknown(self, rows: Mapping[int, ContainerRow], moved: Container[int]) -> None:
        for disk in self._disks.online:
            for number, path in list_containers(self._door, disk):
                row = rows.get(number)
                if number in moved:
                    sentence = "what is needed of this container lies in others: the vault removes it"
                    self._report(Severity.note, path, sentence)
                elif row is None or row.disk_id != disk.disk_id:
                    self._report(Severity.warning, path, "the journal does not know this container")

    def _report_unread(self, path: Path, number: int, error: Exception) -> None:
        if isinstance(error, OSError):
            self._unread.add(number)
        self._report(Severity.damage, path, str(error))

    def _report(self, severity: Severity, place: Path | str, sentence: str) -> None:
        self.findings.append(Finding(severity, str(place), sentence))


def _counted(containers: int) -> str:
    return "1 container" if containers == 1 else f"{containers:,} containers"


def _from_its_begin(row: ContainerRow) -> ContainerRow:
    """The check reads all of it, whatever the index has."""
    return replace(row, indexed_length=0)
