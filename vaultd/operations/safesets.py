"""Committing safesets, finding one after a lost answer, and listing them.

A commit has two steps: `prepare` (any thread) checks everything about the root and looks up what its tree uses;
`commit` (writer thread) compares the head again, stores the payload and makes the root a safeset in one group commit.
What `prepare` looked up is leased to the run, so that nothing of it is dropped; but it may count as damaged by now: a
read met it, its disk was declared lost, or its run key given up. The store counts all of these, and where it counted
any since, everything is looked up again before the root becomes a safeset. In the writer thread no disk and no key is
given up beside a commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from vaultd.catalog.accounts import read_account
from vaultd.catalog.database import View
from vaultd.catalog.distrusted_keys import list_distrusted
from vaultd.catalog.ended_safesets import read_ended
from vaultd.catalog.filled_slots import read_slot, save_slot
from vaultd.catalog.jobs import update_job
from vaultd.catalog.keyrings import read_keyring
from vaultd.catalog.runs import update_run
from vaultd.catalog.safesets import find_safeset, list_safesets, place_of, read_safeset, save_safeset
from vaultd.errors import BadRequest, Conflict, Internal, NotFound
from vaultd.operations import access, grants, ledger
from vaultd.operations.held_safesets import ended_hint
from vaultd.operations.leased_records import LeasedRecords
from vaultd.operations.replaced import count_replaced, is_replaced, replaced_by
from vaultd.operations.root_format import Root, check_figures, countersign, is_signed_by, parse_root, root_hash
from vaultd.operations.standing import is_standing
from vaultd.operations.store_errors import translated
from vaultd.operations.summaries import SafesetSummary, summarise_safeset
from vaultd.operations.tree_walk import Gap, Tree, TreeWalk, companions_of
from vaultd.operations.upload import ROOT_PAYLOAD_TYPE, home_disk_number
from vaultd.operations.vault import Vault
from vaultd.policy.provisional import newest_sequence
from vaultd.policy.retention import DEFAULT_TYPE, EXTRA, day_of, fills_slot
from vaultd.records import NO_HASH, Identity, Job, Keyring, Run, Safeset
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.damage_notes import DamageMet
from vaultd.store.errors import RecordError
from vaultd.store.journal.format import EntryKind
from vaultd.store.record_format import RecordHeader, cid, parse_record

CID_PREFIX_BYTES = 16
PAYLOAD_BYTES_MAX = 300 * 1024
ROWS_AT_ONCE = 20_000  # of a list, those that are left out among them


@dataclass(frozen=True, slots=True)
class Prepared:
    """A root that may become a safeset, unless the head moves before.

    `base` is the run's, `last` the newest provisional safeset that the run itself made. `replaced`: how many safesets
    this one takes the place of, as long as the head stays.
    """

    run_id: bytes
    root_bytes: bytes
    root: Root
    payload: StoredRecord
    base: Safeset | None
    last: Safeset | None
    replaced: int
    damage_met: DamageMet  # of the keyring, before anything was looked up


@dataclass(frozen=True, slots=True)
class Committed:
    sequence: int
    time_ns: int
    countersignature: bytes


@dataclass(frozen=True, slots=True)
class SafesetPage:
    """`next` is where the page after this one begins; None when this is the last. A page may be empty."""

    safesets: list[SafesetSummary]
    next: bytes | None


def prepare(vault: Vault, identity: Identity, run_id: bytes, root: bytes, payload: bytes) -> Prepared | Committed:
    """`Committed` when this very root is a safeset already: its answer was lost."""
    parsed = parse_root(root)
    record = _check_payload(parsed, payload)
    with vault.catalog.read() as view:
        run, job = access.own_run(view, identity, run_id)
        known = find_safeset(view, job.account_id, job.job_id, root_hash(root))
        if known is not None:
            return _committed(known)
        run, job = access.active_run(view, identity, run_id)
        keyring = read_keyring(view, job.account_id, run.keyring_id)
        if keyring is None:
            raise Internal(f"keyring {run.keyring_id.hex()} is not in the catalog")
        _check_payload_key(record, run)
        base = find_safeset(view, job.account_id, job.job_id, run.base) if run.base != NO_HASH else None
        last = read_safeset(view, job, run.sequence) if run.sequence else None
        replaced = count_replaced(view, job, run, complete=parsed.complete)
    if not is_signed_by(root, job.signing_key):
        raise BadRequest("root: signature is not that of the job's signing key")
    _check_root(parsed, run, keyring)
    _check_head(parsed, job, run)
    damage_met = _require_whole(vault, job, parsed, run_id, (base, last))
    return Prepared(run_id, bytes(root), parsed, record, base, last, replaced, damage_met)


def commit_unless_stale(vault: Vault, identity: Identity, prepared: Prepared) -> Committed | None:
    """W. None where damage was met since `prepare`, which is to look again in its own thread."""
    return (
        None
        if _damage_met(vault, prepared.root.keyring_id) != prepared.damage_met
        else commit(vault, identity, prepared)
    )


def commit(vault: Vault, identity: Identity, prepared: Prepared) -> Committed:
    """W. The payload, the root and the new head become durable together.

    Where damage was met since `prepare` it looks everything up again itself, and holds up all other writing meanwhile.
    """
    root, hash_ = prepared.root, root_hash(prepared.root_bytes)
    with vault.catalog.read() as view:
        run, job = access.own_run(view, identity, prepared.run_id)
        known = find_safeset(view, job.account_id, job.job_id, hash_)
        if known is not None:
            return _committed(known)
        run, job = access.active_run(view, identity, prepared.run_id)
        home_disk = _home_disk(vault, view, job)
        newest_slot = read_slot(view, job)
    _check_payload_key(prepared.payload, run)
    _check_key_opens(vault, prepared.payload)
    _check_head(root, job, run)
    damage_met = prepared.damage_met
    if _damage_met(vault, root.keyring_id) != damage_met:
        damage_met = _require_whole(vault, job, root, run.run_id, (prepared.base, prepared.last))
    _append_payload(vault, home_disk, prepared.payload)
    now_ns = vault.clock.now_ns()
    is_extra = root.complete and not fills_slot(now_ns, newest_slot)
    safeset = Safeset(
        timeline=root.timeline,
        sequence=root.sequence,
        job_id=job.job_id,
        keyring_id=root.keyring_id,
        run_id=run.run_id,
        root=prepared.root_bytes,
        root_hash=hash_,
        payload_id=prepared.payload.header.id,
        countersignature=countersign(vault.signing_key, hash_, vault.vault_id, now_ns),
        stored_at_ns=now_ns,
        retention=EXTRA if is_extra else job.definition.retention or DEFAULT_TYPE,
    )
    changes = [
        *save_safeset(job.account_id, safeset),
        *update_job(_with_head(job, safeset, prepared)),
        *update_run(msgspec.structs.replace(run, sequence=root.sequence)),
        *(save_slot(job, day_of(now_ns)) if root.complete else []),
    ]
    ledger.record(vault, changes, EntryKind.root, job=job.job_id, run=run.run_id, hash=hash_)
    vault.barrier.committed(safeset)
    # The run goes on from a provisional one, and what it has not come to yet is in its base.
    beside = run.base if not root.complete else NO_HASH
    vault.trees.seen_whole(job.job_id, hash_, damage_met, beside)
    return _committed(safeset)


def find(vault: Vault, identity: Identity, job_id: bytes, hash_: bytes) -> Committed:
    """For an agent whose answer was lost."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
        safeset = find_safeset(view, job.account_id, job.job_id, hash_)
    if safeset is None:
        raise NotFound(f"job {job_id.hex()} has no safeset with root hash {hash_.hex()}")
    return _committed(safeset)


def list_page(
    vault: Vault, identity: Identity, computer: str, job: str, after: bytes | None, count: int
) -> SafesetPage:
    """The first ones, or those behind the place that the page before named; `count` at most, without those that were
    replaced.
    """
    with vault.catalog.read() as view:
        row = access.named_job(view, access.named_computer(view, identity, computer), job, identity)
        grants.require(vault, view, identity, row)
    with translated():
        is_due = vault.store.looks.is_due(row.keyring_id)  # first: what a look that ends now has found is in the page
    with vault.catalog.read() as view:
        found = _page(view, row, after or b"", count)
    return SafesetPage([_doubted(safeset) for safeset in found.safesets], found.next) if is_due else found


def choose(view: View, job: Job, sequence: int) -> Safeset:
    """The safeset with this number; 0 is the newest complete one, or the newest at all while there is none."""
    number = sequence or newest_sequence(job)
    safeset = read_safeset(view, job, number) if number else None
    if safeset is None:
        if not sequence:
            raise access.no_safeset(job)
        raise NotFound(f"job {job.name!r} does not have safeset {sequence}")
    if is_replaced(view, job, safeset):
        newer = replaced_by(view, job, safeset)
        raise NotFound(
            f"safeset {number} was provisional and was replaced by safeset {newer}",
            f"restore safeset {newer}, or another that the list of safesets shows",
        )
    ended = read_ended(view, job.account_id, safeset)
    if ended is not None:
        raise NotFound(f"safeset {number} of job {job.name!r} is {ended.state.value}", ended_hint(ended))
    return safeset


def _page(view: View, job: Job, after: bytes, count: int) -> SafesetPage:
    found: list[SafesetSummary] = []
    distrusted = {key_id for _, key_id in list_distrusted(view, job.account_id, job.keyring_id)}
    place = after
    for looked_at, safeset in enumerate(list_safesets(view, job.account_id, job.job_id, after)):
        if len(found) == count or looked_at == ROWS_AT_ONCE:
            return SafesetPage(found, place)
        place = place_of(safeset.timeline, safeset.sequence)
        if is_standing(view, job, safeset):
            found.append(summarise_safeset(view, job.account_id, safeset, distrusted))
    return SafesetPage(found, None)


def _doubted(safeset: SafesetSummary) -> SafesetSummary:
    """Damage was met, and which safesets it hurts is not known yet."""
    return safeset if safeset.damaged else msgspec.structs.replace(safeset, in_doubt=True)


def is_whole_base(vault: Vault, identity: Identity, job_id: bytes, base: bytes) -> bool:
    """Whether a run may build on this safeset: the vault has it, and everything that it uses."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
        safeset = find_safeset(view, job.account_id, job.job_id, base)
        is_kept = safeset is not None and is_standing(view, job, safeset)
    if safeset is None or not is_kept:
        return False
    damage_met = _damage_met(vault, safeset.keyring_id)
    if vault.trees.is_whole(job_id, base, damage_met):
        return True
    with translated():
        gap = TreeWalk(vault.store, tree_of(parse_root(safeset.root))).run()
        if gap.missing:
            if vault.store.looks.lost(safeset.keyring_id, [gap.first]) == [True]:
                vault.store.looks.suspect(safeset.keyring_id)
            return False
    vault.trees.seen_whole(job_id, base, damage_met)
    return True


def tree_of(root: Root) -> Tree:
    return Tree(root.keyring_id, root.top_block, root.top_companion, root.level)


def _check_payload(root: Root, payload: bytes) -> StoredRecord:
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise BadRequest(f"payload: {len(payload)} bytes are more than {PAYLOAD_BYTES_MAX}")
    try:
        header: RecordHeader = parse_record(payload)
    except RecordError as error:
        raise BadRequest(f"payload: {str(error).removeprefix('record: ')}") from None
    if not header.sealed or header.type != ROOT_PAYLOAD_TYPE:
        raise BadRequest(f"payload: type {header.type} is not that of a root payload ({ROOT_PAYLOAD_TYPE})")
    if header.keyring_id != root.keyring_id:
        raise BadRequest("payload: keyring is not that of the root")
    if header.suite != root.suite:
        raise BadRequest(f"payload: suite {header.suite} is not that of the root")
    payload_cid = cid(payload)
    if payload_cid != root.payload_hash:
        raise BadRequest("root: payload_hash is not the hash of the payload")
    return StoredRecord(header, payload_cid, payload)


def _check_payload_key(payload: StoredRecord, run: Run) -> None:
    """As for every record of a run: its keys and no others."""
    key_id = payload.header.key_id
    if key_id not in run.key_ids:
        raise BadRequest(f"payload: key {key_id.hex()} is not known for this run", "send run.key first")


def _check_key_opens(vault: Vault, payload: StoredRecord) -> None:
    """The run of another job of the keyring may have found that this run's key does not."""
    header = payload.header
    if vault.store.is_key_given_up(header.keyring_id, header.key_id):
        raise Conflict(
            f"payload: run key {header.key_id.hex()} was given up, its erase key or row is damaged",
            "begin a new run and offer every id",
        )


def _check_root(root: Root, run: Run, keyring: Keyring) -> None:
    bound = {
        "keyring": (root.keyring_id, run.keyring_id),
        "generation": (root.generation, keyring.generation),
        "job": (root.job_id, run.job_id),
        "run": (root.run_id, run.run_id),
    }
    for name, (said, expected) in bound.items():
        if said != expected:
            raise BadRequest(f"root: {name} is not that of the run")
    if root.suite < keyring.minimum_suite:
        raise BadRequest(f"root: suite {root.suite} is below the keyring's minimum {keyring.minimum_suite}")
    check_figures(root)


def _check_head(root: Root, job: Job, run: Run) -> None:
    """A safeset follows the head, whole: no gap, no fork, no going back. A complete one is the last of its run."""
    hint = "begin a new run: it is told the head"
    if root.computer_id != job.computer_id:
        raise BadRequest("root: computer is not that of the job")
    if root.timeline != job.timeline:
        raise Conflict(f"root: timeline {root.timeline} is not the job's {job.timeline}", hint)
    if root.sequence != job.head_sequence + 1:
        raise Conflict(f"root: sequence {root.sequence} does not follow the head {job.head_sequence}", hint)
    if root.previous != job.head_hash:
        raise Conflict(f"root: previous is not the root hash of safeset {job.head_sequence}", hint)
    if run.sequence and run.sequence == job.complete_sequence:
        raise Conflict(f"root: the run has made its complete safeset {run.sequence} already", "begin a new run")


def _damage_met(vault: Vault, keyring_id: bytes) -> DamageMet:
    with translated():
        return vault.store.damage_met(keyring_id)


def _require_whole(
    vault: Vault, job: Job, root: Root, run_id: bytes, earlier: Sequence[Safeset | None]
) -> DamageMet:
    """Everything that the safeset uses is durable here, by all damage that was met up to what is returned, and stays
    until the run ends. What `earlier` ones hold is not looked up again, once they were seen whole.
    """
    damage_met = _damage_met(vault, root.keyring_id)  # first, so that what is met beside the look-up makes it stale
    with translated():
        held: set[bytes] = set()
        for safeset in earlier:
            if safeset is not None and vault.trees.is_whole(job.job_id, safeset.root_hash, damage_met):
                held |= companions_of(vault.store, tree_of(parse_root(safeset.root)))
        gap: Gap = TreeWalk(LeasedRecords(vault, job.account_id, run_id), tree_of(root), held).run()
    if gap.missing:
        raise Conflict(
            f"{gap.missing} records that the safeset uses are missing or damaged, the first is {gap.first.hex()}",
            "begin a new run and offer every id",
        )
    return damage_met


def _append_payload(vault: Vault, home_disk: int, payload: StoredRecord) -> None:
    """The first record of an id wins, also one that waits for its commit: exactly this one must be stored, or another
    would be found under its id later.
    """
    header = payload.header
    with translated():
        (location,) = vault.store.locate(header.keyring_id, [header.id])
        if location is not None and not location.is_damaged:
            is_stored = location.cid_prefix == payload.cid[:CID_PREFIX_BYTES]
        else:
            is_stored = vault.store.append(home_disk, [payload]).records == 1
    if not is_stored:
        message = f"payload: another record with id {header.id.hex()} is here"
        raise Conflict(message, "commit again with a new end time")


def _home_disk(vault: Vault, view: View, job: Job) -> int:
    account = read_account(view, job.account_id)
    if account is None:
        raise Internal(f"account {job.account_id.hex()} is not in the catalog")
    return home_disk_number(vault, account.home_disk)


def _with_head(job: Job, safeset: Safeset, prepared: Prepared) -> Job:
    root = prepared.root
    safesets = job.safesets + 1 - prepared.replaced
    moved = msgspec.structs.replace(job, head_sequence=safeset.sequence, head_hash=safeset.root_hash, safesets=safesets)
    if not root.complete:
        return moved
    return msgspec.structs.replace(moved, complete_sequence=safeset.sequence, protected_bytes=root.protected_bytes)


def _committed(safeset: Safeset) -> Committed:
    return Committed(safeset.sequence, safeset.stored_at_ns, safeset.countersignature)
