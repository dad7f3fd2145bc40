"""Checks every copy of the journal, its chain, and gathers what it says about containers."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from vaultd.store.disk_door import Door
from vaultd.store.errors import FormatError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.acknowledged import Group, acknowledge_entry, read_groups
from vaultd.store.index_rows import ContainerRow
from vaultd.store.journal.copies import JournalCopies
from vaultd.store.journal.format import EntryKind, Segment
from vaultd.store.journal.history import is_other_history
from vaultd.store.position import START, Position

_OF_THE_STORE = (
    EntryKind.group, EntryKind.container_sealed, EntryKind.supersede, EntryKind.drop, EntryKind.container_moved
)  # fmt: skip
_BAD_ENTRY = (FormatError, KeyError, ValueError, TypeError, msgspec.MsgspecError)


class JournalCheck:
    def __init__(self, door: Door, directories: Sequence[Path], vault_id: bytes) -> None:
        self.entries = 0
        self.first = 1  # the number of the first entry that is left
        self.end: Position = START
        self.catalog_end = 0  # the number of the last entry that may change the catalog
        self._door = door
        self._directories = directories
        self._vault_id = vault_id
        self._copies = JournalCopies(door, directories, vault_id)
        self.findings: list[Finding] = []
        self.containers: dict[int, ContainerRow] = {}
        self.moved: set[int] = set()  # containers of which all that is needed lies in others

    def run(self) -> None:
        firsts = self._copies.firsts()
        if not firsts:
            self._report(Severity.damage, self._directories[0], "there is no journal")
        self.first = min(firsts, default=1)
        for first in firsts:
            self._check_segment(first, is_last=first == firsts[-1])

    def hash_of(self, number: int) -> bytes | None:
        """Read anew, because the hashes of a long journal are not kept in memory."""
        if number == 0:
            return START.hash
        firsts = [first for first in self._copies.firsts() if first <= number + 1]
        for segment in map(self._copies.merge, firsts[-2:]):
            if segment and number == segment.header.first - 1:
                return segment.header.previous
            for entry in segment.entries if segment else ():
                if entry.position.number == number:
                    return entry.position.hash
        return None

    def groups(self, row: ContainerRow) -> list[Group]:
        """What the journal names of a container, as far as it can be read; `run` has said what cannot."""
        firsts = self._copies.firsts()
        start = max((first for first in firsts if first <= row.first_entry), default=0)
        segments = (self._copies.merge(first) for first in firsts if first >= start)
        try:
            return read_groups((entry for segment in segments if segment for entry in segment.entries), row.number)
        except _BAD_ENTRY:
            return []

    def _check_segment(self, first: int, *, is_last: bool) -> None:
        path = self._copies.paths(first)[0]
        try:
            segment = self._copies.merge(first, self.end)
        except FormatError as error:
            self._report(Severity.damage, path, str(error))
            return
        if segment is None:
            severity = Severity.warning if is_last and self.end.number == first - 1 else Severity.damage
            self._report(severity, path, "no copy of this segment has a good header")
            return
        if segment.header.vault_id != self._vault_id:
            self._report(Severity.damage, path, f"it belongs to vault {segment.header.vault_id.hex()}")
        if (first, segment.header.previous) != (self.end.number + 1, self.end.hash):
            sentence = f"it does not follow entry {self.end.number}, the last good one before it"
            self._report(Severity.damage, path, sentence)
        self._check_copies(first, segment)
        self._take_entries(path, segment)

    def _check_copies(self, first: int, segment: Segment) -> None:
        length = len(segment.data)
        for path in self._copies.paths(first):
            data = self._copies.read(path)
            if path in self._copies.unread:
                self._report(Severity.warning, path, "the disk refuses to read this copy; the other one holds")
            elif is_other_history(data, segment, path):
                self._report(Severity.damage, path, "this copy is of another history than the other one")
            elif data[:length] != segment.data:
                what = self._copies.shortfall(path, data, segment)
                self._report(Severity.warning, path, f"this copy of the journal {what}; the other copy holds")
            elif len(data) > length:
                sentence = f"{len(data) - length} bytes after entry {segment.end.number} are no entry"
                self._report(Severity.warning, path, sentence)

    def _take_entries(self, path: Path, segment: Segment) -> None:
        for entry in segment.entries:
            self.entries += 1
            if entry.kind not in _OF_THE_STORE:
                self.catalog_end = entry.position.number
            try:
                acknowledge_entry(self.containers, entry)
                if entry.kind == EntryKind.container_moved:
                    self.moved.add(entry.decode().details["number"])
            except _BAD_ENTRY as error:
                self._report(Severity.damage, path, f"entry {entry.position.number}: {error}")
        self.end = segment.end

    def _report(self, severity: Severity, place: Path, sentence: str) -> None:
        self.findings.append(Finding(severity, str(place), sentence))
