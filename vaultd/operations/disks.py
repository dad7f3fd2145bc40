"""The disks of the vault for its operator: how each one is, which safesets one that is away or lost hits, and the
operator's word that one is lost for good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import msgspec

from vaultd.catalog.accounts import read_account
from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_job
from vaultd.catalog.rows import decode
from vaultd.errors import Conflict, NotFound
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.disk_hits import DiskPlaces, Hit, HitWalk
from vaultd.operations.erased_slots import mend_keys
from vaultd.operations.known_disks import changed_disks
from vaultd.operations.standing import is_live
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Identity, Safeset
from vaultd.store.disks.known_disks import KnownDisk, is_replaced
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding

SAFESETS_AT_ONCE = 32
JOB_KEY_BYTES = 32  # of a safeset's key: account and job
SENTENCE_MAX = 1024

DiskState = Literal["online", "offline", "lost"]


class DiskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: where it is, or was last. Sizes are 0 where it is not here."""

    number: int | None
    disk_id: bytes
    state: DiskState
    path: str
    total_bytes: int
    free_bytes: int
    containers: int
    record_bytes: int


class SafesetHit(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    computer: str
    job: str
    number: int
    records: int
    at_least: bool


@dataclass(frozen=True, slots=True)
class DisksListed:
    disks: list[DiskSummary]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class HitPage:
    """`next` is where the next page begins, empty after the last."""

    hits: list[SafesetHit]
    next: bytes


def list_disks(vault: Vault) -> DisksListed:
    vault.store.look_after_disks()
    disks = vault.store.disks
    summaries = _summarise(vault, disks.known)
    findings = [*disks.offline_findings(), *vault.erase_keys.lacking_findings(), *vault.store.room_findings()]
    warnings = [f"{finding.place}: {finding.sentence}"[:SENTENCE_MAX] for finding in findings]
    return DisksListed(sorted(summaries, key=_by_number), warnings)


def look_after_disks(vault: Vault) -> list[Finding]:
    """What is to be said of the disks now, those that are gone since the start among them."""
    vault.store.look_after_disks()
    return vault.store.disks.offline_findings()


def can_complete_keys(vault: Vault) -> bool:
    """Whether keys lie on one disk only that can be brought onto both, also where no look saw a disk away."""
    try:
        return vault.erase_keys.can_complete()
    except StoreError:  # none of the disks is here
        return False


def complete_keys(vault: Vault) -> list[Finding]:
    """W. Brings every erase key onto the disks that are back. Whatever goes wrong, the vault goes on: no good copy is
    written over, and one is enough to work with.
    """
    try:
        with vault.catalog.read() as view:
            return mend_keys(view, vault.erase_keys)
    except Exception as error:  # of LMDB and of the catalog's rows too
        return vault.erase_keys.put_off(error)


def hit_by(vault: Vault, name: str, after: bytes) -> HitPage:
    """The safesets behind a place that use a record on the disk; a bounded number is looked at."""
    disk = _named(vault.store.disks.known, name)
    with translated():
        places = DiskPlaces(vault.store.containers(), {disk.disk_id})
    if places.is_empty:
        return HitPage([], b"")
    with vault.catalog.read() as view:
        rows = list(islice(view.scan("safesets", start=after and after + b"\0"), SAFESETS_AT_ONCE))
    hits = []
    walk, job_key = HitWalk(vault.store, places), b""
    for key, value in rows:
        if key[:JOB_KEY_BYTES] != job_key:
            walk, job_key = HitWalk(vault.store, places), key[:JOB_KEY_BYTES]
        safeset = decode("safesets", key, value, Safeset)
        if _is_out_of_use(vault, key, safeset):
            continue
        if hit := walk.run(safeset).get(disk.disk_id):
            with vault.catalog.read() as view:
                hits.append(name_hit(view, key, safeset, hit))
    return HitPage(hits, rows[-1][0] if len(rows) == SAFESETS_AT_ONCE else b"")


def _is_out_of_use(vault: Vault, key: bytes, safeset: Safeset) -> bool:
    """`key` is that of the safeset's row. Nobody can restore it, so nothing of it is hit."""
    with vault.catalog.read() as view:
        job = read_job(view, key[:16], key[16:JOB_KEY_BYTES])
        return job is not None and not is_live(view, job, safeset)


def name_hit(view: View, key: bytes, safeset: Safeset, hit: Hit) -> SafesetHit:
    """`key` is that of the safeset's row. What has no name any more is named by its id."""
    account_id, job_id = key[:16], key[16:JOB_KEY_BYTES]
    account, job = read_account(view, account_id), read_job(view, account_id, job_id)
    computer = None if job is None else read_computer(view, account_id, job.computer_id)
    return SafesetHit(
        account=account_id.hex() if account is None else account.name,
        computer="" if computer is None else computer.name,
        job=job_id.hex() if job is None else job.name,
        number=safeset.sequence,
        records=hit.records,
        at_least=hit.at_least,
    )


def declare_lost(vault: Vault, identity: Identity, name: str) -> DiskSummary:
    """W. What lies on it counts as damaged from now on, and is taken again from the computers that still have it."""
    disk = _named(vault.store.disks.known, name)
    if vault.store.disks.find_id(disk.disk_id) is not None:
        has_gone = vault.store.disks.has_gone(disk.disk_id)
        hint = "restart vaultd first" if has_gone else "stop vaultd, unmount it and start, if it is to be given up"
        raise Conflict(f"{disk.sentence_name()} was here when the vault started: it is not lost", hint)
    return _save(vault, identity, "disk.lost", msgspec.structs.replace(disk, is_lost=True))


def take_back(vault: Vault, identity: Identity, name: str) -> DiskSummary:
    """W. It is offline again until it is here: what lies on it is out of reach, and no more asked for."""
    disk = _named(vault.store.disks.known, name)
    if not disk.is_lost:
        hint = "`vaultctl disk list` shows the lost ones; one that another took the place of goes by its id"
        raise Conflict(f"{disk.sentence_name()} is not lost", hint)
    if is_replaced(disk, vault.store.disks.known):
        raise Conflict(f"{disk.sentence_name()} cannot be taken back: another disk took its place")
    return _save(vault, identity, "disk.lost.undo", msgspec.structs.replace(disk, is_lost=False))


def _save(vault: Vault, identity: Identity, action: str, disk: KnownDisk) -> DiskSummary:
    held = vault.store.disks.known
    known = [disk if one.disk_id == disk.disk_id else one for one in held]
    if known != list(held):
        with vault.catalog.read() as view:
            changes = changed_disks(view, known, vault.clock.now_ns())
            audit = audited(vault, view, identity, action, disk.disk_id.hex())
        ledger.record(vault, [*changes, *audit])
        vault.store.know_disks(known)
    (summary,) = _summarise(vault, [disk])
    return summary


def _named(known: Sequence[KnownDisk], name: str) -> KnownDisk:
    """By id, or by number the one that has it now."""
    found = [disk for disk in known if name in _names(disk)]
    current = [disk for disk in found if not is_replaced(disk, known)] or found
    if not current:
        raise NotFound(f"disk {name!r} does not exist", "`vaultctl disk list` shows all")
    if len(current) > 1:
        raise Conflict(f"disk {name!r} is not the only one of that number", "name it by its id")
    return current[0]


def _names(disk: KnownDisk) -> set[str]:
    return {disk.disk_id.hex()} if disk.number is None else {disk.disk_id.hex(), str(disk.number)}


def _summarise(vault: Vault, disks: Sequence[KnownDisk]) -> list[DiskSummary]:
    with translated():
        here = {one.disk_id: one for one in vault.store.statistics().disks}
        containers = vault.store.containers()
    here = {disk_id: one for disk_id, one in here.items() if not vault.store.disks.has_gone(disk_id)}
    summaries = []
    for disk in disks:
        held = [row.acknowledged_length for row in containers if row.disk_id == disk.disk_id]
        facts = here.get(disk.disk_id)
        summary = DiskSummary(
            number=disk.number,
            disk_id=disk.disk_id,
            state="lost" if disk.is_lost else "online" if facts else "offline",
            path=disk.path,
            total_bytes=facts.total_bytes if facts else 0,
            free_bytes=facts.free_bytes if facts else 0,
            containers=len(held),
            record_bytes=sum(held),
        )
        summaries.append(summary)
    return summaries


def _by_number(disk: DiskSummary) -> tuple[bool, int, bytes]:
    return disk.number is None, disk.number or 0, disk.disk_id
