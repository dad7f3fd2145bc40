"""Checks every copy of every checkpoint, and holds it against the journal."""

from collections.abc import Iterable, Sequence
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
from vaultd.store.index_rows import ContainerRow
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
            for directory in self._directories:
                path = directory / checkpoint_name(number)
                if number in held[directory]:
                    self._check_copy(path, number, journal)
                elif number in numbers[-KEPT:]:
                    self._report(Severity.warning, path, "this copy of the checkpoint is missing")
        newest = read_newest_checkpoint(
            self._door, self._directories, self._vault_id, lambda position: not _foreign(position, journal)
        )
        if newest:
            position, rows = newest
            path = self._directories[0] / checkpoint_name(position.number)
            self._hold_containers(path, rows, journal.containers)
        elif numbers:
            self._report(Severity.damage, self._directories[0], "no checkpoint is left that could be used")

    def _check_copy(self, path: Path, number: int, journal: JournalCheck) -> None:
        self.checkpoints += 1
        try:
            header, _ = verify_checkpoint(self._door, path)
        except (FormatError, OSError) as error:
            self._report(Severity.damage, path, str(error))
            return
        if header.vault_id != self._vault_id or header.position.number != number:
            self._report(Severity.damage, path, "its header names another vault or position")
        elif sentence := _foreign(header.position, journal):
            self._report(Severity.damage, path, sentence)

    def _hold_containers(self, path: Path, rows: Iterable[Row], containers: dict[int, ContainerRow]) -> None:
        for table, key, value in rows:
            if table != CONTAINERS_TABLE:
                continue
            try:
                row = parse_container_row(key, value)
            except FormatError as error:
                self._report(Severity.damage, path, str(error))
                continue
            held = containers.setdefault(row.number, row)
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
