"""What the operator sees of the whole vault."""

from collections import Counter

import msgspec

from vaultd.catalog.accounts import list_accounts
from vaultd.catalog.clock_doubts import read_doubt
from vaultd.catalog.computers import list_computers
from vaultd.catalog.damaged_safesets import count_damaged
from vaultd.catalog.database import View
from vaultd.catalog.freezes import count_frozen
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
    are. `safesets_in_doubt`: more of them may be damaged, which is being looked for. `clock_doubted`: nothing expires
    until an operator says that the clock is right.
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
    safesets_damaged: int
    safesets_in_doubt: bool
    clock_doubted: bool
    jobs_frozen: int


def vault_status(vault: Vault, version: str, connections: int) -> VaultStatus:
    with translated():
        store = vault.store.statistics()
        in_doubt = vault.store.looks.is_any_due()
    with vault.catalog.read() as view:
        counts = _count(view)
        damaged = count_damaged(view)
        doubt = read_doubt(view)
        frozen = count_frozen(view)
        runs_active = view.count("active_runs")
    return VaultStatus(
        vault_id=vault.vault_id,
        name=vault.config.name,
        place=vault.config.place,
        version=version,
        started_ns=vault.started_ns,
        time_ns=vault.clock.now_ns(),
        accounts=counts["accounts"],
        computers=counts["computers"],
        jobs=counts["jobs"],
        safesets=counts["safesets"],
        runs_active=runs_active,
        records=store.records,
        record_bytes=store.record_bytes,
        containers=store.containers,
        disks=[DiskStatus(one.disk_id, one.number, one.path, one.total_bytes, one.free_bytes) for one in store.disks],
        offline_disks=store.offline,
        journal_number=store.journal_number,
        connections=connections,
        safesets_damaged=damaged,
        safesets_in_doubt=in_doubt,
        clock_doubted=doubt is not None and not doubt.accepted_ns,
        jobs_frozen=frozen,
    )


def _count(view: View) -> Counter[str]:
    """Row by row: there may be very many."""
    counts: Counter[str] = Counter()
    for account in list_accounts(view):
        counts["accounts"] += 1
        counts["computers"] += sum(not computer.removed_ns for computer in list_computers(view, account.account_id))
        for job in list_jobs(view, account.account_id):
            counts["jobs"] += not job.removed_ns
            counts["safesets"] += job.safesets
    return counts
