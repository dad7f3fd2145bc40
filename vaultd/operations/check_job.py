"""Checking one job offline: its keys, its slots, the chain of its safesets, and everything they use."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_secret
from vaultd.catalog.keyrings import SLOT_COPIES, list_run_keys, list_slot_ids, list_slots, read_keyring
from vaultd.catalog.runs import read_run
from vaultd.catalog.safesets import list_safesets
from vaultd.errors import VaultError
from vaultd.operations.check_hits import HitCheck
from vaultd.operations.damage_hits import DamageHits
from vaultd.operations.job_place import job_place
from vaultd.operations.root_format import (
    Root,
    countersigned_bytes,
    is_countersigned,
    is_signed_by,
    parse_root,
    root_hash,
)
from vaultd.operations.runs import KEY_ID_BYTES
from vaultd.operations.safesets import tree_of
from vaultd.operations.sealed_headers import parse_slot
from vaultd.operations.standing import is_live, is_standing
from vaultd.operations.tree_walk import Records, TreeWalk
from vaultd.operations.wrapping import JOB_SECRET, RUN_KEY, SLOT, job_owner, run_key_owners, slot_owner
from vaultd.records import NO_HASH, NO_ID, Job, Keyring, Safeset
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner
from vaultd.store.errors import DiskMissing, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class CheckParts:
    """What a job is checked against; `records` and `hits` are None where there is no index."""

    view: View
    records: Records | None
    hits: HitCheck | None
    damage: DamageHits
    erase_keys: EraseKeys
    vault_id: bytes
    vault_key: Ed25519PublicKey


def check_job(parts: CheckParts, job: Job) -> Iterator[Finding]:
    place = job_place(parts.view, job)
    yield from _check_secret(parts, job, place)
    if job.keyring_id == NO_ID:
        return
    keyring = read_keyring(parts.view, job.account_id, job.keyring_id)
    if keyring is None:
        yield _damage(place, f"its keyring {job.keyring_id.hex()} is not in the catalog")
        return
    yield from _check_slots(parts, keyring, place)
    yield from _check_run_keys(parts, job, place)
    yield from _check_safesets(parts, job, place)


def _check_secret(parts: CheckParts, job: Job, place: str) -> Iterator[Finding]:
    wrapped = read_secret(parts.view, job)
    owner = job_owner(job.job_id)
    if wrapped is not None and (fault := _unwrap_fault(parts, [owner], (JOB_SECRET, job.job_id, wrapped))):
        yield _damage(place, fault)


def _check_slots(parts: CheckParts, keyring: Keyring, place: str) -> Iterator[Finding]:
    good = dict.fromkeys(list_slot_ids(parts.view, keyring.account_id, keyring.keyring_id), 0)
    faults: dict[bytes, list[str]] = {}
    for slot in list_slots(parts.view, keyring.account_id, keyring.keyring_id):
        fault = _unwrap_fault(parts, [slot_owner(slot.slot_id)], (SLOT, slot.slot_id, slot.wrapped), parse_slot)
        good[slot.slot_id] = good.get(slot.slot_id, 0) + (not fault)
        if fault:
            faults.setdefault(slot.slot_id, []).append(fault)
    for slot_id, copies in good.items():
        yield from _slot_findings(place, slot_id, copies, faults.get(slot_id, []))
    if not good:
        yield _damage(place, "it has no slot")


def _slot_findings(place: str, slot_id: bytes, good_copies: int, faults: Sequence[str]) -> Iterator[Finding]:
    """A copy that is damaged is no missing one, and the other one makes up for both."""
    if good_copies == 0:
        for fault in faults:
            yield Finding(Severity.warning, place, fault)
        yield _damage(place, f"no copy of slot {slot_id.hex()} can be read: its password opens nothing any more")
        return
    for fault in faults:
        yield Finding(Severity.warning, place, f"a copy of {fault}; the other copy holds")
    if good_copies + len(faults) < SLOT_COPIES:
        yield Finding(Severity.warning, place, f"a copy of slot {slot_id.hex()} is missing; the other copy holds")


def _check_run_keys(parts: CheckParts, job: Job, place: str) -> Iterator[Finding]:
    for row in list_run_keys(parts.view, job.account_id, job.keyring_id):

        def check(sealed: bytes, key_id: bytes = row.key_id) -> None:
            if blake3(sealed).digest(length=KEY_ID_BYTES) != key_id:
                raise StoreError(f"run key {key_id.hex()} is not the one that was stored")

        owners = run_key_owners(row.job_id, job.keyring_id)
        if fault := _unwrap_fault(parts, owners, (RUN_KEY, row.key_id, row.wrapped), check):
            yield _damage(place, fault)


def _check_safesets(parts: CheckParts, job: Job, place: str) -> Iterator[Finding]:
    previous, sequence, count = NO_HASH, 0, 0
    whole: set[bytes] = set()
    for safeset in list_safesets(parts.view, job.account_id, job.job_id):
        is_kept = is_live(parts.view, job, safeset)
        found = list(_root_faults(parts, job, safeset, (previous, sequence)))
        if is_kept:
            found += _use_faults(parts, job, safeset, whole)
        if is_kept and (found or parts.records is None):
            parts.damage.run(place, job, safeset)
        if found:  # one finding for each safeset
            severity = Severity.damage if any(one is Severity.damage for one, _ in found) else Severity.warning
            sentences = dict.fromkeys(sentence for _, sentence in found)
            yield Finding(severity, f"{place}, safeset {safeset.sequence}", "; ".join(sentences))
        previous, sequence, count = safeset.root_hash, safeset.sequence, count + is_standing(parts.view, job, safeset)
    if (job.head_sequence, job.head_hash) != (sequence, previous):
        yield _damage(place, f"its head is safeset {job.head_sequence}, but the newest one here is {sequence}")
    elif job.safesets != count:
        yield _damage(place, f"it has {job.safesets} safesets by its own count, but {count} are here")


def _root_faults(
    parts: CheckParts, job: Job, safeset: Safeset, before: tuple[bytes, int]
) -> Iterator[tuple[Severity, str]]:
    """Also of one that was replaced: the chain goes through it."""
    root = parse_root(safeset.root)
    signing_key = dict(job.earlier_signers).get(root.generation, job.signing_key)
    for fault in _chain_faults(parts, (safeset, root), signing_key, before):
        yield Severity.damage, fault
    if read_run(parts.view, job.account_id, safeset.run_id) is None:
        yield Severity.damage, f"its run {safeset.run_id.hex()} is not in the catalog"


def _use_faults(parts: CheckParts, job: Job, safeset: Safeset, whole: set[bytes]) -> Iterator[tuple[Severity, str]]:
    """What hits those who restore it."""
    if parts.hits is not None:
        yield from parts.hits.run(job, safeset)
    if parts.records is None:
        return
    try:
        fault = _content_fault(parts, parts.records, safeset, parse_root(safeset.root), whole)
    except DiskMissing as error:
        yield Severity.warning, f"it cannot be walked to its end: {error}"
    else:
        if fault:
            yield Severity.damage, fault


def _chain_faults(
    parts: CheckParts, stored: tuple[Safeset, Root], signing_key: bytes, before: tuple[bytes, int]
) -> Iterator[str]:
    safeset, root = stored
    hash_ = root_hash(safeset.root)
    if hash_ != safeset.root_hash:
        yield "its root is not the one that was stored"
    if (root.previous, root.sequence) != (before[0], before[1] + 1) or root.sequence != safeset.sequence:
        yield "it does not follow the safeset before"
    if not is_signed_by(safeset.root, signing_key):
        yield "the job's signature does not hold"
    signed = countersigned_bytes(hash_, parts.vault_id, safeset.stored_at_ns)
    if not is_countersigned(parts.vault_key, safeset.countersignature, signed):
        yield "the vault's countersignature does not hold"


def _content_fault(parts: CheckParts, records: Records, safeset: Safeset, root: Root, whole: set[bytes]) -> str:
    """`whole` collects the companions of trees without a gap: what safesets share is walked once."""
    walk = TreeWalk(records, tree_of(root), whole)
    try:
        (location,) = records.locate(root.keyring_id, [safeset.payload_id])
        if location is None or any(records.missing(root.keyring_id, [safeset.payload_id])):
            sentence = _naming(parts, root, safeset.payload_id, "its payload {}is missing or damaged", "{} ")
            return _missing(records, sentence)
        if blake3(records.read(location, safeset.payload_id)).digest() != root.payload_hash:
            return f"its payload {safeset.payload_id.hex()} is not the one that was signed"
        gap = walk.run()
    except DiskMissing:
        raise
    except RecordDamaged:  # the payload: read and looked up at once
        return _naming(parts, root, safeset.payload_id, "its payload {}is missing or damaged", "{} ")
    except (StoreError, VaultError, OSError) as error:
        return str(error)
    if gap.missing:
        many = f"{gap.missing} records that it uses are missing or damaged"
        return _missing(records, _naming(parts, root, gap.first, many + "{}", ", the first is {}"))
    whole |= walk.seen
    return ""


def _naming(parts: CheckParts, root: Root, id_: bytes, sentence: str, name: str) -> str:
    """A record that a fault names is named there only."""
    return sentence.format("" if parts.damage.names(root.keyring_id, id_) else name.format(id_.hex()))


def _missing(records: Records, sentence: str) -> str:
    if records.lacks_rows:
        raise DiskMissing(f"{sentence}, and the index was made anew without a disk that is offline")
    return sentence


def _unwrap_fault(
    parts: CheckParts,
    owners: Collection[Owner],
    item: tuple[str, bytes, bytes],
    check: Callable[[bytes], object] = lambda data: None,
) -> str:
    """`item` is purpose, id and wrapped bytes; `check` raises if what is inside is wrong."""
    purpose, id_, wrapped = item
    try:
        check(parts.erase_keys.unwrap(owners, purpose, id_, wrapped))
    except (StoreError, VaultError) as error:
        return f"{purpose} {id_.hex()} cannot be read: {error}"
    return ""


def _damage(place: str, sentence: str) -> Finding:
    return Finding(Severity.damage, place, sentence)
