"""What the operator sees of the whole vault."""

import msgspec

from vaultd.catalog.accounts import list_accounts
from vaultd.catalog.computers import list_computers
from vaultd.catalog.jobs import list_jobs
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault


class DiskStatus(msgspec.Struct, frozen=True):
    disk_id: bytes
    number: int
    path: str
    total_bytes: int
    free_bytes: int


class VaultStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The field names are those of the wire's message. Removed computers and jobs are not counted, their safesets
    are.
    """

    vault_id: bytes
    name: str
    place: str
    version: str
    started_ns: int
    time_ns: int
    accounts: int
    computers: int
    jobs: int
    safesets: int
    runs_active: int
    records: int
    record_bytes: int
    containers: int
    disks: list[DiskStatus]
    offline_disks: list[str]
    journal_number: int
    connections: int


def vault_status(vault: Vault, version: str, connections: int) -> VaultStatus:
    with translated():
        store = vault.store.statistics()
    with vault.catalog.read() as view:
        accounts = [account.account_id for account in list_accounts(view)]
        computers = [one for account_id in accounts for one in list_computers(view, account_id)]
        jobs = [job for account_id in accounts for job in list_jobs(view, account_id)]
        runs_active = view.count("active_runs")
    return VaultStatus(
        vault_id=vault.vault_id,
        name=vault.config.name,
        place=vault.config.place,
        version=version,
        started_ns=vault.started_ns,
        time_ns=vault.clock.now_ns(),
        accounts=len(accounts),
        computers=sum(not computer.removed_ns for computer in computers),
        jobs=sum(not job.removed_ns for job in jobs),
        safesets=sum(job.safesets for job in jobs),
        runs_active=runs_active,
        records=store.records,
        record_bytes=store.record_bytes,
        containers=store.containers,
        disks=[DiskStatus(one.disk_id, one.number, one.path, one.total_bytes, one.free_bytes) for one in store.disks],
        offline_disks=store.offline,
        journal_number=store.journal_number,
        connections=connections,
    )
