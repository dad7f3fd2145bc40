"""Checks containers against themselves, their directories and the index."""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from vaultd.store.check.journal import JournalCheck
from vaultd.store.containers.files import list_containers
from vaultd.store.containers.format import BLOCK_BYTES, container_path
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
from vaultd.store.index.index import CID_PREFIX_BYTES, Index
from vaultd.store.index.reading_progress import ReadingProgress, Tell, tell_nobody
from vaultd.store.index_rows import ContainerRow


class ContainerCheck:
    def __init__(self, door: Door, disks: Disks, vault_id: bytes, *, read_data: bool) -> None:
        self.containers = 0
        self.records = 0
        self.record_bytes = 0
        self._door = door
        self._disks = disks
        self._vault_id = vault_id
        self._read_data = read_data
        self.findings: list[Finding] = []

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
                self._report(Severity.damage, path, f"the disk cannot be read: {error}")
            progress.add(_from_its_begin(row), self.records)
        self._check_unknown(rows)

    def _check_container(self, path: Path, row: ContainerRow, journal: JournalCheck, index: Index | None) -> None:
        if is_gone(self._door, path):
            self._report(Severity.damage, path, "the container is gone")
            return
        size = self._door.size(path)
        if size < row.acknowledged_length:
            sentence = f"it has {size} bytes of {row.acknowledged_length} that were acknowledged"
            self._report(Severity.damage, path, sentence)
        elif size > row.acknowledged_length:
            sentence = f"{size - row.acknowledged_length} bytes behind the acknowledged ones are cut at the next start"
            self._report(Severity.warning, path, sentence)
        self._check_header(path, row)
        if row.is_sealed:
            self._check_records(path, row, self._check_directory(path, row), index)
        else:
            for group in journal.groups(row):
                self._check_group(path, row.number, group, index)

    def _check_header(self, path: Path, row: ContainerRow) -> None:
        try:
            header = read_header(self._door, path)
        except (FormatError, OSError) as error:
            self._report(Severity.damage, path, str(error))
            return
        if header.number != row.number or header.vault_id != self._vault_id:
            self._report(Severity.damage, path, f"its header names container {header.number:012x} of another place")

    def _check_directory(self, path: Path, row: ContainerRow) -> dict[int, bytes] | None:
        """The cid of each offset, or None where the directory cannot be read."""
        try:
            directory = read_directory(self._door, path, row.acknowledged_length)
            check_directory_padding(self._door, path, row.acknowledged_length)
            return {entry.offset: entry.cid for entry in directory}
        except (FormatError, OSError) as error:
            self._report(Severity.damage, path, str(error))
            return None

    def _check_records(
        self, path: Path, row: ContainerRow, directory: dict[int, bytes] | None, index: Index | None
    ) -> None:
        end = min(row.acknowledged_length, self._door.size(path))
        unseen = set(directory or ())
        for item in scan(self._door, path, Stretch(BLOCK_BYTES, end, self._read_data)):
            if isinstance(item, Gap):
                self._report_gap(path, item)
                continue
            self._count(item)
            unseen.discard(item.offset)
            self._check_record(path, item, directory)
            if index and self._read_data:
                self._check_against_index(path, row.number, item, index)
        for offset in sorted(unseen):
            self._report(Severity.damage, path, f"the record that the directory names at offset {offset} is not there")

    def _check_group(self, path: Path, number: int, group: Group, index: Index | None) -> None:
        """Without `read_data` only how many records there are can be held against the journal."""
        if self._read_data:
            for item in scan_group(self._door, path, group):
                if isinstance(item, Loss):
                    self._report(Severity.damage, path, item.sentence)
                    continue
                self._count(item)
                if index:
                    self._check_against_index(path, number, item, index)
            return
        held = 0
        for found in scan(self._door, path, Stretch(group.start, min(group.end, self._door.size(path)), False)):
            if isinstance(found, Gap):
                self._report_gap(path, found)
            else:
                held += 1
                self._count(found)
        if held != len(group.names()):
            sentence = f"{held} records lie between offset {group.start} and {group.end}"
            self._report(Severity.damage, path, f"{sentence}, but the journal names {len(group.names())}")

    def _count(self, item: ScannedRecord) -> None:
        self.records += 1
        self.record_bytes += item.header.record_length

    def _report_gap(self, path: Path, gap: Gap) -> None:
        sentence = f"damage at offset {gap.offset}, {gap.length} bytes: {gap.sentence}"
        self._report(Severity.damage, path, sentence)

    def _check_record(self, path: Path, item: ScannedRecord, directory: dict[int, bytes] | None) -> None:
        if directory is None:
            return
        cid = directory.get(item.offset)
        where = f"record {item.header.id.hex()} at offset {item.offset}"
        if cid is None:
            self._report(Severity.damage, path, f"{where} is not in the directory")
        elif self._read_data and cid != item.cid:
            self._report(Severity.damage, path, f"{where} is damaged: its bytes do not hold the directory's cid")

    def _check_against_index(self, path: Path, number: int, item: ScannedRecord, index: Index) -> None:
        try:
            (location,) = index.lookup(item.header.keyring_id, [item.header.id])
        except RecordDamaged:
            return  # the check of the index names the row
        is_here = location and (location.container, location.offset) == (number, item.offset)
        if location and is_here and location.cid_prefix != item.cid[:CID_PREFIX_BYTES]:
            where = f"record {item.header.id.hex()} at offset {item.offset}"
            self._report(Severity.damage, path, f"{where} is damaged: its bytes do not hold the index's cid")

    def _check_unknown(self, rows: Mapping[int, ContainerRow]) -> None:
        for disk in self._disks.online:
            for number, path in list_containers(self._door, disk):
                row = rows.get(number)
                if row is None or row.disk_id != disk.disk_id:
                    self._report(Severity.warning, path, "the journal does not know this container")

    def _report(self, severity: Severity, place: Path | str, sentence: str) -> None:
        self.findings.append(Finding(severity, str(place), sentence))


def _from_its_begin(row: ContainerRow) -> ContainerRow:
    """The check reads all of it, whatever the index has."""
    return replace(row, indexed_length=0)
