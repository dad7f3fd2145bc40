"""The offline check of a whole store: disks, journal, checkpoints, containers, index, erase keys. It changes nothing.

The daemon must be stopped. Memory is bounded by one journal segment and one container's directory.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from vaultd.store.check_containers import ContainerCheck
from vaultd.store.check_journal import JournalCheck
from vaultd.store.checkpoint import checkpoint_name, list_checkpoints, read_newest_checkpoint, verify_checkpoint
from vaultd.store.chunk_store import StoreSettings
from vaultd.store.container_format import BLOCK_BYTES, container_path
from vaultd.store.disk_door import Door, read_file
from vaultd.store.disks import Disks, open_disks
from vaultd.store.erase_keys import COPIES_DIFFER, check_key
from vaultd.store.errors import FormatError, RecordError, StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index import ContainerRow, Index, IndexRow, Location
from vaultd.store.record_format import HEADER_BYTES, RecordHeader, parse_header


class CheckCounts(Struct, frozen=True):
    disks: int = 0
    journal_entries: int = 0
    checkpoints: int = 0
    containers: int = 0
    records: int = 0
    record_bytes: int = 0
    index_rows: int = 0
    erase_keys: int = 0


class CheckReport(Struct, frozen=True):
    findings: list[Finding]
    counts: CheckCounts

    @property
    def is_damaged(self) -> bool:
        return any(finding.severity is Severity.damage for finding in self.findings)


def check_store(settings: StoreSettings, door: Door, *, read_data: bool) -> CheckReport:
    """With `read_data` every byte of every record is read and held against its cid."""
    try:
        disks = open_disks(door, settings.disk_paths, settings.vault_id)
    except StoreError as error:
        return CheckReport([Finding(Severity.damage, "disks", str(error))], CheckCounts())
    return _Check(settings, door, disks).run(read_data=read_data)


class _Check:
    def __init__(self, settings: StoreSettings, door: Door, disks: Disks) -> None:
        self._settings = settings
        self._door = door
        self._disks = disks
        self._findings: list[Finding] = []

    def run(self, *, read_data: bool) -> CheckReport:
        self._findings += self._disks.offline_findings()
        journal = JournalCheck(self._door, self._disks.copy_directories("journal"), self._settings.vault_id)
        self._findings += journal.run()
        containers = ContainerCheck(self._door, self._disks, self._settings.vault_id, read_data=read_data)
        checkpoints = self._check_checkpoints()
        index = self._open_index()
        try:
            if index:
                self._check_position(index, journal)
            self._findings += containers.run(journal.containers, index)
            index_rows = self._check_index(index, journal.containers) if index else 0
        finally:
            if index:
                index.close()
        counts = CheckCounts(
            disks=len(self._disks.online),
            journal_entries=journal.entries,
            checkpoints=checkpoints,
            containers=containers.containers,
            records=containers.records,
            record_bytes=containers.record_bytes,
            index_rows=index_rows,
            erase_keys=self._check_erase_keys(),
        )
        return CheckReport(self._findings, counts)

    def _check_checkpoints(self) -> int:
        count = 0
        for directory in self._disks.copy_directories("checkpoints"):
            for number in list_checkpoints(self._door, directory):
                path = directory / checkpoint_name(number)
                count += 1
                try:
                    header, _ = verify_checkpoint(self._door, path)
                except (FormatError, OSError) as error:
                    self._report(Severity.damage, path, str(error))
                    continue
                if header.vault_id != self._settings.vault_id or header.position.number != number:
                    self._report(Severity.damage, path, "its header names another vault or position")
        directories = self._disks.copy_directories("checkpoints")
        if count and read_newest_checkpoint(self._door, directories, self._settings.vault_id) is None:
            self._report(Severity.damage, directories[0], "no checkpoint is left that could be used")
        return count

    def _open_index(self) -> Index | None:
        path = self._settings.index_path
        if not self._door.exists(path):
            self._report(Severity.warning, path, "there is no index: it is rebuilt at the next start")
            return None
        index = None
        try:
            index = Index.open_read_only(path)
            owner = index.vault_id()
            index.position()
            index.containers()
        except StoreError as error:
            if index:
                index.close()
            self._report(Severity.damage, path, str(error))
            return None
        if owner != self._settings.vault_id:
            self._report(Severity.damage, path, "it is the index of another vault")
            index.close()
            return None
        return index

    def _check_position(self, index: Index, journal: JournalCheck) -> None:
        position = index.position()
        if position is None:
            self._report(Severity.warning, index.path, "nothing was applied to it: it is rebuilt at the next start")
        elif position.number > journal.end.number:
            sentence = f"it has applied entry {position.number}, but the journal ends at {journal.end.number}"
            self._report(Severity.damage, index.path, sentence)
        elif journal.hash_of(position.number) != position.hash:
            sentence = f"entry {position.number} that it has applied is not the journal's"
            self._report(Severity.damage, index.path, sentence)

    def _check_index(self, index: Index, containers: dict[int, ContainerRow]) -> int:
        count = 0
        for row in index.rows():
            count += 1
            if fault := self._row_fault(row, containers):
                self._report(Severity.damage, index.path, f"the row of record {row.id.hex()}: {fault}")
        return count

    def _row_fault(self, row: IndexRow, containers: dict[int, ContainerRow]) -> str:
        location = row.location
        if location is None:
            return "its checksum does not hold"
        container = containers.get(location.container)
        if container is None:
            return f"container {location.container:012x} is not in the journal"
        if location.offset < BLOCK_BYTES or location.offset + location.length > container.acknowledged_length:
            return f"its place in container {location.container:012x} is outside of what was acknowledged"
        disk = self._disks.find_id(container.disk_id)
        if disk is None:
            return ""  # offline, said above
        return self._header_fault(row, location, container_path(disk.path, location.container))

    def _header_fault(self, row: IndexRow, location: Location, path: Path) -> str:
        where = f"in {path} at offset {location.offset}"
        try:
            header = self._read_header(path, location.offset)
        except (RecordError, OSError) as error:
            return f"{where}: {error}"
        if header.id != row.id or header.record_length != location.length or header.type != location.type:
            return f"{where} lies record {header.id.hex()} of {header.record_length} bytes"
        return ""

    def _read_header(self, path: Path, offset: int) -> RecordHeader:
        handle = self._door.open_read(path)
        try:
            return parse_header(self._door.read(handle, offset, HEADER_BYTES))
        finally:
            self._door.close(handle)

    def _check_erase_keys(self) -> int:
        copies: dict[str, list[Path]] = {}
        for path in self._erase_key_files():
            copies.setdefault(path.name.partition(".")[0], []).append(path)
        for owner, paths in copies.items():
            good: dict[Path, bytes] = {}
            for path in paths:
                data = read_file(self._door, path)
                if fault := check_key(data, owner):
                    self._report(Severity.warning, path, fault)
                else:
                    good[path] = data
            if not good:
                self._report(Severity.damage, paths[0], "no copy of this erase key holds")
            elif len(set(good.values())) > 1:
                self._report(Severity.damage, paths[0], COPIES_DIFFER)
            elif self._disks.offline:
                continue
            elif len(good) == 1:
                self._report(Severity.warning, paths[0], "only one good copy of this erase key is left")
            elif len({path.parent for path in good}) < len(self._disks.copy_directories("erase-keys")):
                self._report(Severity.warning, paths[0], "every good copy of this erase key lies on one disk")
        return len(copies)

    def _erase_key_files(self) -> Iterator[Path]:
        for directory in self._disks.copy_directories("erase-keys"):
            for name in self._door.listdir(directory):
                if name.endswith((".key", ".key2")):
                    yield directory / name

    def _report(self, severity: Severity, place: Path | str, sentence: str) -> None:
        self._findings.append(Finding(severity, str(place), sentence))
