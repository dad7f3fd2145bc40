"""Makes containers, journal and index agree after any stop: the same code after a clean one, a crash and a lost index.

Invariants: only bytes above the acknowledged length of an open container are cut; damage below it is reported and
stays; only a container that was never acknowledged is removed. Where the journal may be older than the containers both
are kept beside, and as long as something is. While a disk is away, which may have a longer copy of the journal,
nothing is cut or removed. A crash in here is survived by running it again.
Threads: the writer thread only.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.store.containers.moved_files import remove_moved
from vaultd.store.containers.writer import ResumedContainer
from vaultd.store.findings import Finding, Findings, Severity
from vaultd.store.index.acknowledged import acknowledged_containers
from vaultd.store.index.journal_places import JournalPlaces, read_places
from vaultd.store.index.reading_progress import ReadingProgress
from vaultd.store.index_rows import ContainerRow, IndexBatch, Location
from vaultd.store.position import Position
from vaultd.store.recovery.containers import ContainerRecovery, Leftovers
from vaultd.store.recovery.found_records import FoundRecords, KnownKey
from vaultd.store.recovery.gone_containers import find_gone
from vaultd.store.recovery.leftovers import has_kept
from vaultd.store.recovery.parts import Parts
from vaultd.store.recovery.unknown_containers import UnknownContainers
from vaultd.store.refusals import LOSES_NOTHING

_FLAGGED_AT_ONCE = 10_000


class Recovered(Struct, frozen=True):
    findings: list[Finding]
    records_indexed: int
    records_without_key: int
    containers: dict[int, ContainerRow]
    resumed: dict[int, ResumedContainer]  # by disk number
    next_number: int
    gone: frozenset[int]  # containers whose files are not on their disks, which are here


class RecoveryReport(Struct, frozen=True):
    findings: list[Finding]
    records_indexed: int
    records_without_key: int


def recover(parts: Parts, known_key: KnownKey) -> Recovered:
    """Run once after opening, when the catalog has caught up: `known_key` says whether a sealed run key is there."""
    return _Recovery(parts, known_key).run()


class _Recovery:
    def __init__(self, parts: Parts, known_key: KnownKey) -> None:
        self._parts = parts
        self._known_key = known_key
        self._findings = Findings()
        self._report = self._findings.report
        self._unknown = UnknownContainers(parts.door, parts.disks, self._report)

    def run(self) -> Recovered:
        index = self._parts.index
        holds_back = self._why_held_back()
        containers = acknowledged_containers(index, self._parts.entries_after)
        places = read_places(self._parts.entries_after, containers, index)
        self._flag_moved(containers, places)
        moved = index.plans.moved() | places.moved
        unknown, passed = self._unknown.find(containers, moved)
        is_old = self._unknown.is_journal_old(unknown + passed) | self._unknown.lacks_groups(containers, unknown)
        is_old |= has_kept(self._parts.door, self._parts.disks)
        keeps_leftovers = is_old or index.position() is None or bool(holds_back)
        recovered = self._recover_containers(containers, places, Leftovers(keeps_leftovers, holds_back))
        if self._parts.disks.is_any_away:
            self._leave(unknown, holds_back)
        else:
            self._remove(unknown, is_kept=keeps_leftovers)
        self._note_containers(recovered.containers, moved, places.end)
        if not holds_back:
            self._remove_moved()
        next_number = 1 + max(recovered.containers.keys() | self._unknown.taken_numbers(), default=0)
        return msgspec.structs.replace(recovered, next_number=next_number)

    def _flag_moved(self, containers: dict[int, ContainerRow], places: JournalPlaces) -> None:
        """Rows of an older index that lead into containers which were moved since: each is missing until the record is
        found at its new place, however often the vault is started before.
        """
        index = self._parts.index
        if not places.moved or index.position() is None:
            return
        found: list[tuple[bytes, Location]] = []
        for row in index.rows():
            if row.location and row.location.container not in containers:
                found.append((row.id, row.location))
            if len(found) >= _FLAGGED_AT_ONCE:
                index.apply(IndexBatch(damaged=found))
                found = []
        index.apply(IndexBatch(damaged=found))

    def _why_held_back(self) -> str:
        """Nothing is cut or removed where this says why."""
        if self._parts.is_forked:
            sentence = "a copy with another history is kept beside; until it is moved away nothing is cut or removed"
            self._report(Severity.warning, "journal", sentence)
            return "another history of the journal may know them"
        if self._parts.disks.is_any_away:
            return "a disk is offline, and its copy of the journal may know them"
        return ""

    def _recover_containers(
        self, containers: dict[int, ContainerRow], places: JournalPlaces, leftovers: Leftovers
    ) -> Recovered:
        records = FoundRecords(self._parts.index, self._known_key, places)
        recovery = ContainerRecovery(self._parts, records, leftovers, self._findings)
        disks = self._parts.disks
        gone = find_gone(self._parts.door, disks, containers.values())
        given_up = (number for number, row in containers.items() if disks.is_given_up(row.disk_id))
        self._parts.index.give_up(gone.union(given_up))
        progress = ReadingProgress(containers.values(), self._parts.tell)
        rows: dict[int, ContainerRow] = {}
        for number, row in sorted(containers.items()):
            rows[number] = recovery.recover(row)
            progress.add(row, records.indexed)
        records.end()
        return Recovered(self._findings.all, records.indexed, records.without_key, rows, recovery.resumed, 0, gone)

    def _leave(self, unknown: list[Path], why: str) -> None:
        for path in unknown:
            self._report(Severity.warning, str(path), f"the journal does not know it; it was left: {why}")

    def _remove(self, unknown: list[Path], *, is_kept: bool) -> None:
        for path in unknown:
            try:
                self._unknown.remove(path, is_kept=is_kept)
            except OSError as error:
                severity = Severity.warning if error.errno in LOSES_NOTHING else Severity.damage
                self._report(severity, str(path), f"nothing acknowledges it, but it cannot be removed: {error}")

    def _remove_moved(self) -> None:
        try:
            plans = self._parts.index.plans
            plans.forget_moved(remove_moved(self._parts.door, self._parts.disks, plans.moved()))
        except OSError as error:
            self._report(Severity.warning, error.filename or "containers", f"what was moved cannot be removed: {error}")

    def _note_containers(self, rows: dict[int, ContainerRow], moved: Mapping[int, bytes], end: Position | None) -> None:
        """In the last transaction, with the position: a crash before it repeats the whole."""
        index = self._parts.index
        held = index.containers()
        changed = [row for number, row in rows.items() if row != held.get(number)]
        away = [ContainerRow(number, disk_id, 0, 0, 0, True) for number, disk_id in moved.items()]
        index.apply(IndexBatch(containers=changed, moved=away, position=end))
