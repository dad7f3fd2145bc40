"""The offline check of a whole vault: the store's bytes first, then whether the catalog's promises can be kept. It
changes nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from vaultd.catalog.accounts import list_accounts
from vaultd.catalog.database import Catalog, View
from vaultd.catalog.jobs import list_jobs
from vaultd.catalog.keyrings import is_known_key
from vaultd.config import Config
from vaultd.errors import VaultError
from vaultd.image.probe import find_fault
from vaultd.operations.check_hits import HitCheck
from vaultd.operations.check_job import CheckParts, check_job
from vaultd.operations.check_keys import KeyTrial
from vaultd.operations.check_records import CheckRecords
from vaultd.operations.damage_hits import UNKNOWN, DamageHits, FaultPlaces
from vaultd.operations.erased_slots import key_owners
from vaultd.operations.known_disks import known_disks
from vaultd.operations.listed_disks import read_listed_disks
from vaultd.operations.places import CATALOG_DIRECTORY, refuse_shared_places
from vaultd.operations.store_errors import told_in_full
from vaultd.operations.vault import read_authority, read_signing_key, read_vault_id, store_settings
from vaultd.store.check.check import CheckCounts, CheckReport, check_store
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.known_disks import KnownDisk, with_those_of_containers
from vaultd.store.disks.opening import lock_vault, open_disks
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Tell, tell_nobody
from vaultd.store.store_settings import StoreSettings


@dataclass(frozen=True, slots=True)
class VaultReport:
    findings: list[Finding]
    counts: CheckCounts
    jobs: int
    unchecked: Sequence[str]  # what could not be looked at, in words

    @property
    def is_damaged(self) -> bool:
        return any(finding.severity is Severity.damage for finding in self.findings)


def check_vault(config: Config, door: Door, *, read_data: bool, tell: Tell = tell_nobody) -> VaultReport:
    """Refused while a daemon runs on the directory. `tell` hears how far the containers are checked."""
    refuse_shared_places(config.directory, config.disks)
    vault_id = read_vault_id(config.directory)
    with told_in_full():
        lock = lock_vault(config.directory, config.disks)
    with ExitStack() as cleanup:
        cleanup.callback(lock.close)
        settings = store_settings(config, vault_id)
        fault = find_fault(Catalog.image(config.directory / CATALOG_DIRECTORY))
        with told_in_full():  # what a later version wrote ends the check
            known = _named_disks(config, settings, door, fault)
            keys = KeyTrial(config.directory / CATALOG_DIRECTORY, door, is_readable=not fault)
            stored = check_store(settings, door, read_data=read_data, known=known, trial=keys, tell=tell)
        catalog = _CatalogCheck(config, door, settings, known, stored)
        found = list(catalog.run(fault))
        damage = catalog.damage.findings() if catalog.damage else (one.finding(UNKNOWN) for one in stored.faults)
        findings = [*stored.others, *damage, *found]
    return VaultReport(findings, stored.counts, catalog.jobs, [*stored.unchecked, *catalog.unchecked])


class _CatalogCheck:
    def __init__(
        self, config: Config, door: Door, settings: StoreSettings, known: Sequence[KnownDisk], stored: CheckReport
    ) -> None:
        self.jobs = 0
        self.damage: DamageHits | None = None
        self.unchecked: list[str] = []
        self._config = config
        self._door = door
        self._settings = settings
        self._known = known
        self._stored = stored

    def run(self, fault: str) -> Iterator[Finding]:
        """`fault`: why the catalog is not to be opened."""
        path = self._config.directory / CATALOG_DIRECTORY
        if not path.exists():
            yield Finding(Severity.warning, str(path), "there is no catalog: it is made again at the next start")
            self.unchecked.append("jobs and safesets, without a catalog")
            return
        if fault:
            sentence = f"it is damaged: {fault}; start vaultd, which sets it aside and makes it again"
            yield Finding(Severity.damage, str(path), sentence)
            self.unchecked.append("jobs and safesets, without a catalog")
            return
        try:
            # The keys of the site are needed at every start.
            read_authority(self._config.directory)
            with ExitStack() as cleanup:
                catalog = Catalog.open_read_only(path)
                cleanup.callback(catalog.close)
                disks = open_disks(self._door, self._settings.disk_paths, self._settings.vault_id, self._known)
                index = self._open_index(cleanup)
                yield from _check_position(catalog, index, str(path))
                view = cleanup.enter_context(catalog.read())
                yield from self._check_jobs(view, disks, index)
                known_disks(view)  # a row that cannot be read is told
        except (StoreError, VaultError) as error:
            yield Finding(Severity.damage, str(self._config.directory), str(error))
            self.unchecked.append("the jobs and safesets behind this")

    def _check_jobs(self, view: View, disks: Disks, index: Index | None) -> Iterator[Finding]:
        records, hits, looked_up = None, None, None
        faults = self._stored.faults
        if index is not None:
            found = {row.disk_id for row in index.containers().values()}
            disks.know(with_those_of_containers(disks.known, found))
            records = CheckRecords(self._door, disks, index, faults, lambda key_id: is_known_key(view, key_id))
            hits = HitCheck(disks, index, records)
            looked_up = FaultPlaces(faults, hits.places, records, str(index.path)), records
        self.damage = DamageHits(faults, looked_up)
        signing_key = read_signing_key(self._config.directory)
        erase_keys = EraseKeys.on(self._door, disks)
        erase_keys.spare(key_owners(view))
        vault = (self._settings.vault_id, signing_key.public_key())
        parts = CheckParts(view, records, hits, self.damage, erase_keys, *vault)
        for account in list_accounts(view):
            for job in list_jobs(view, account.account_id):
                self.jobs += 1
                yield from check_job(parts, job)
        self.damage.conclude()

    def _open_index(self, cleanup: ExitStack) -> Index | None:
        """None where there is none that can be read, which the store's own check has said."""
        if not self._stored.has_index:
            return None
        index = Index.open_read_only(self._settings.index_path)
        cleanup.callback(index.close)
        index.count_as_open(self._stored.open_keys)
        return index


def _named_disks(config: Config, settings: StoreSettings, door: Door, fault: str) -> list[KnownDisk]:
    """As a start will have them; without the catalog where that cannot be read, which the check of it says."""
    path = config.directory / CATALOG_DIRECTORY
    with suppress(VaultError), ExitStack() as cleanup:
        if path.exists() and not fault:
            catalog = Catalog.open_read_only(path)
            cleanup.callback(catalog.close)
            return read_listed_disks(catalog, settings, door)
    return read_listed_disks(None, settings, door)


def _check_position(catalog: Catalog, index: Index | None, place: str) -> Iterator[Finding]:
    """The index is written before the catalog."""
    applied = index.position() if index is not None else None
    position = catalog.position()
    if applied is not None and position.number > applied.number:
        sentence = f"it has applied entry {position.number}, but the index only {applied.number}"
        yield Finding(Severity.damage, place, sentence)
