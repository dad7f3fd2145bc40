"""The offline check of a whole store: disks, journal, checkpoints, containers, index, erase keys. It changes nothing.

The daemon must be stopped. Memory is bounded by a journal segment, a container's directory, and what `Faults` holds.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from vaultd.image.probe import find_fault
from vaultd.store.check.checkpoints import CheckpointCheck
from vaultd.store.check.containers import ContainerCheck
from vaultd.store.check.disks import absent_findings
from vaultd.store.check.erase_keys import EraseKeyCheck
from vaultd.store.check.faults import Faults
from vaultd.store.check.journal import JournalCheck
from vaultd.store.check.kept import kept_findings
from vaultd.store.check.rows import RowCheck
from vaultd.store.disk_door import Door, read_file
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.identity import IDENTITY_NAME, decode_identity
from vaultd.store.disks.known_disks import KnownDisk, with_those_of_containers
from vaultd.store.disks.opening import open_disks
from vaultd.store.erase_keys.file import Owner
from vaultd.store.errors import FormatError, StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Tell, tell_nobody
from vaultd.store.store_settings import StoreSettings

KeyName = tuple[bytes, bytes]  # ids of keyring and run key


class KeyTrial(Protocol):
    """What only the catalog can tell of keys."""

    def which_open(self, disks: Disks, keys: Sequence[KeyName]) -> Sequence[KeyName]:
        """Of run keys that were given up those that open again."""

    def owners_at(self, number: int) -> Collection[Owner] | None:
        """Who has an erase key when the journal is applied up to this entry; None where that cannot be told."""


class NoTrial:
    """Without a catalog: no key opens, and nobody has one."""

    def which_open(self, disks: Disks, keys: Sequence[KeyName]) -> Sequence[KeyName]:
        return ()

    def owners_at(self, number: int) -> Collection[Owner] | None:
        return ()


class CheckCounts(Struct, frozen=True):
    """Containers also hold records that the index leaves out: those that were sent again, or whose key nobody has."""

    disks: int = 0
    journal_entries: int = 0
    checkpoints: int = 0
    containers: int = 0
    records_in_containers: int = 0
    record_bytes_in_containers: int = 0
    records_in_index: int = 0
    erase_keys: int = 0


class CheckReport(Struct, frozen=True):
    """`faults` are what damaged containers cost, `others` all else that was found."""

    others: list[Finding]
    counts: CheckCounts
    faults: Faults
    has_index: bool = False  # one that can be read
    open_keys: Sequence[KeyName] = ()  # were given up in the index, and open again
    unchecked: Sequence[str] = ()  # what could not be looked at, in words

    @property
    def findings(self) -> list[Finding]:
        return [*self.others, *(fault.finding() for fault in self.faults)]

    @property
    def is_damaged(self) -> bool:
        return any(finding.severity is Severity.damage for finding in self.findings)


def check_store(
    settings: StoreSettings,
    door: Door,
    *,
    read_data: bool,
    known: Sequence[KnownDisk] = (),
    trial: KeyTrial | None = None,
    tell: Tell = tell_nobody,
) -> CheckReport:
    """With `read_data` every byte of every record is read and held against its cid. `known`: what the catalog names."""
    try:
        disks = open_disks(door, settings.disk_paths, settings.vault_id, known)
    except StoreError as error:
        unopened = [Finding(Severity.damage, "disks", str(error))]
        return CheckReport(unopened, CheckCounts(), Faults(), unchecked=["disks, journal, containers and index"])
    return _Check(settings, door, disks, trial or NoTrial()).run(read_data=read_data, tell=tell)


class _Check:
    def __init__(self, settings: StoreSettings, door: Door, disks: Disks, trial: KeyTrial) -> None:
        self._settings = settings
        self._door = door
        self._disks = disks
        self._trial = trial
        self._open_keys: Sequence[KeyName] = ()
        self._findings: list[Finding] = []
        self._unchecked: list[str] = []

    def run(self, *, read_data: bool, tell: Tell) -> CheckReport:
        journal = JournalCheck(self._door, self._disks.copy_directories("journal"), self._settings.vault_id)
        with self._step("journal", journal.findings):
            journal.run()
        checkpoints = CheckpointCheck(self._door, self._disks.copy_directories("checkpoints"), self._settings.vault_id)
        with self._step("checkpoints", checkpoints.findings):
            checkpoints.run(journal)
        self._know_disks(journal)
        absent = absent_findings(self._disks, journal.containers.values())
        self._findings[:0] = [*self._identity_findings(), *absent]
        containers = ContainerCheck(self._door, self._disks, self._settings.vault_id, read_data=read_data)
        index_rows = 0
        index = None
        with ExitStack() as cleanup:
            index = self._open_index()
            if index:
                cleanup.callback(index.close)
                self._check_position(index, journal)
                self._try_given_up_keys(index)
            with self._step("containers", containers.findings):
                containers.run(journal, index, tell)
            if index:
                rows = RowCheck(self._door, self._disks, containers, str(index.path))
                index_rows = rows.run(index, journal.containers)
        kept: list[Finding] = []
        with self._step("kept files", kept):
            kept += kept_findings(self._door, self._disks)
        erase_keys = EraseKeyCheck(self._door, self._disks, self._trial.owners_at(journal.catalog_end))
        with self._step("erase keys", erase_keys.findings):
            erase_keys.run()
        counts = CheckCounts(
            disks=len(self._disks.online),
            journal_entries=journal.entries,
            checkpoints=checkpoints.checkpoints,
            containers=containers.containers,
            records_in_containers=containers.records,
            record_bytes_in_containers=containers.record_bytes,
            records_in_index=index_rows,
            erase_keys=erase_keys.keys,
        )
        if index is None:
            self._unchecked.append("what safesets use, without an index")
        away = [f"what lies on {place}, which is offline" for place in self._disks.paths_away]
        unchecked = [*away, *containers.unchecked, *self._unchecked]
        return CheckReport(
            self._findings, counts, containers.faults, index is not None, self._open_keys, unchecked=unchecked
        )

    def _know_disks(self, journal: JournalCheck) -> None:
        found = {row.disk_id for row in journal.containers.values()}
        self._disks.know(with_those_of_containers(self._disks.known, found))

    def _identity_findings(self) -> Iterator[Finding]:
        """Damage where the file is there and does not hold: its disk counts as offline only."""
        for path in self._disks.offline:
            try:
                decode_identity(read_file(self._door, path / IDENTITY_NAME), path)
            except FormatError as error:
                yield Finding(Severity.damage, str(path / IDENTITY_NAME), str(error))
            except (OSError, StoreError):
                continue

    def _open_index(self) -> Index | None:
        path = self._settings.index_path
        if not self._door.exists(path):
            self._report(Severity.warning, path, "there is no index: it is rebuilt at the next start")
            return None
        fault = find_fault(Index.image(path))
        if fault:
            sentence = f"it is damaged: {fault}; start vaultd, which sets it aside and makes it again"
            self._report(Severity.damage, path, sentence)
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

    def _try_given_up_keys(self, index: Index) -> None:
        """What lies under one that opens again is no damage. Only a run of its keyring takes it back: none may come."""
        self._open_keys = self._trial.which_open(self._disks, index.given_up_keys())
        index.count_as_open(self._open_keys)
        if count := len(self._open_keys):
            what = "a run key that was given up opens" if count == 1 else f"{count:,} run keys that were given up open"
            sentence = f"{what} again: what lies under it is whole, and the next run of its keyring takes it back"
            self._report(Severity.note, index.path, sentence)

    @contextmanager
    def _step(self, name: str, findings: list[Finding]) -> Iterator[None]:
        """What a step found counts also where the disk ends it."""
        try:
            yield
        except OSError as error:
            sentence = f"the disk cannot be read: {error}; the {name} behind it were not checked"
            self._report(Severity.damage, error.filename or name, sentence)
            self._unchecked.append(f"the {name} behind what cannot be read")
        self._findings += findings

    def _report(self, severity: Severity, place: Path | str, sentence: str) -> None:
        self._findings.append(Finding(severity, str(place), sentence))
