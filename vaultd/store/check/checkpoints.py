"""Checks every copy of every checkpoint, and holds it against the journal."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vaultd.store.check.journal import JournalCheck
from vaultd.store.disk_door import Door
from vaultd.store.errors import FormatError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.checkpoint import (
    CONTAINERS_TABLE,
    KEPT,
    Row,
    checkpoint_name,
    list_checkpoints,
    parse_container_row,
    read_newest_checkpoint,
    verify_checkpoint,
)
from vaultd.store.position import Position


class CheckpointCheck:
    def __init__(self, door: Door, directories: Sequence[Path], vault_id: bytes) -> None:
        self.checkpoints = 0
        self._door = door
        self._directories = directories
        self._vault_id = vault_id
        self.findings: list[Finding] = []

    def run(self, journal: JournalCheck) -> None:
        """Containers that only a checkpoint still names become known to `journal`, so that they are looked for."""
        held = {directory: list_checkpoints(self._door, directory) for directory in self._directories}
        numbers = sorted({number for found in held.values() for number in found})
        for number in numbers:
            copies = {directory / checkpoint_name(number): number in held[directory] for directory in self._directories}
            faults = {path: self._fault_of(path, number, journal) for path, is_here in copies.items() if is_here}
            self._tell(faults)
            if number in numbers[-KEPT:]:
                for path in (path for path, is_here in copies.items() if not is_here):
                    self._report(Severity.warning, path, "this copy of the checkpoint is missing")
        newest = read_newest_checkpoint(
            self._door, self._directories, self._vault_id, lambda position: not _foreign(position, journal)
        )
        if newest:
            position, rows = newest
            path = self._directories[0] / checkpoint_name(position.number)
            self._hold_containers(path, rows, journal)
        elif numbers:
            self._report(Severity.damage, self._directories[0], "no checkpoint is left that could be used")

    def _fault_of(self, path: Path, number: int, journal: JournalCheck) -> tuple[str, bool] | None:
        """What is wrong with a copy, and whether a whole one makes up for it."""
        self.checkpoints += 1
        try:
            header, _ = verify_checkpoint(self._door, path)
        except FormatError as error:
            return f"this copy of the checkpoint is damaged: {error}", True
        except OSError as error:
            return f"this copy of the checkpoint cannot be read: {error}", True
        if header.vault_id != self._vault_id or header.position.number != number:
            return "its header names another vault or position", False
        sentence = _foreign(header.position, journal)
        return (sentence, False) if sentence else None

    def _tell(self, faults: Mapping[Path, tuple[str, bool] | None]) -> None:
        """Of one checkpoint: damage where no copy holds."""
        is_whole = any(fault is None for fault in faults.values())
        for path, fault in faults.items():
            if fault is None:
                continue
            sentence, is_made_up_for = fault
            if is_whole and is_made_up_for:
                self._report(Severity.warning, path, f"{sentence}; the other copy holds")
            else:
                self._report(Severity.damage, path, sentence)

    def _hold_containers(self, path: Path, rows: Iterable[Row], journal: JournalCheck) -> None:
        for table, key, value in rows:
            if table != CONTAINERS_TABLE:
                continue
            try:
                row = parse_container_row(key, value)
            except FormatError as error:
                self._report(Severity.damage, path, str(error))
                continue
            if row.number in journal.moved:
                continue
            held = journal.containers.setdefault(row.number, row)
            if held.disk_id != row.disk_id or held.acknowledged_length < row.acknowledged_length:
                sentence = f"it knows container {row.number:012x} with {row.acknowledged_length} bytes"
                place = f"on disk {row.disk_id.hex()}"
                self._report(Severity.damage, path, f"{sentence} {place}, the journal with {held.acknowledged_length}")

    def _report(self, severity: Severity, place: Path, sentence: str) -> None:
        self.findings.append(Finding(severity, str(place), sentence))


def _foreign(position: Position, journal: JournalCheck) -> str:
    """What shows that it does not belong to the journal; empty where it does."""
    number = position.number
    if number > journal.end.number:
        return f"it is of entry {number}, but the journal ends at {journal.end.number}"
    if number >= journal.first - 1 and journal.hash_of(number) != position.hash:
        return f"entry {number} that it was made at is not the journal's"
    return ""
