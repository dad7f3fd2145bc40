"""Taking records of a run: checked, appended, and durable with the next commit.

The three steps of a batch: `facts`, `verify` (pure computing; the hot path) and `append`. The server takes them in one
call of the write thread, of which only `append` needs it. `ledger.write` then makes everything that was appended
durable, for all uploads together. A batch with one bad record is refused whole and stores nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vaultd.catalog.accounts import read_account
from vaultd.catalog.keyrings import read_keyring
from vaultd.errors import BadRequest, Damaged, Internal
from vaultd.operations.access import active_run
from vaultd.operations.companion_format import parse_companion
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Identity
from vaultd.store.chunk_store import Appended
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.errors import RecordError
from vaultd.store.record_format import HEADER_BYTES, RecordHeader, check_companion, cid, parse_record

CID_BYTES = 32
ROOT_PAYLOAD_TYPE = 4
# IV, cipher text of an empty chunk and tag, by suite: smaller ones cost memory and hold nothing.
BODY_BYTES_MIN = {1: 16 + 16 + 32, 2: 12 + 9 + 16}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a batch is held against; read anew for each batch, because a run may end or get another key meanwhile."""

    account_id: bytes
    run_id: bytes
    keyring_id: bytes
    key_ids: frozenset[bytes]
    given_up: frozenset[bytes]  # of these keys: what comes under them would be missing at once
    minimum_suite: int
    home_disk: int


@dataclass(frozen=True, slots=True)
class UploadBatch:
    """`records` lie one after another, as long as `lengths` says; `cids` are 32 bytes each."""

    lengths: Sequence[int]
    cids: bytes | memoryview
    records: bytes | memoryview


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """Proof, by its type, that every record was checked."""

    facts: RunFacts
    records: tuple[StoredRecord, ...]


def facts(vault: Vault, identity: Identity, run_id: bytes) -> RunFacts:
    with vault.catalog.read() as view:
        run, job = active_run(view, identity, run_id)
        keyring = read_keyring(view, run.account_id, run.keyring_id)
        account = read_account(view, run.account_id)
    if keyring is None or account is None:
        raise Internal(f"account or keyring of run {run_id.hex()} is not in the catalog")
    with translated():
        given_up = frozenset(key for key in run.key_ids if vault.store.is_key_given_up(run.keyring_id, key))
    return RunFacts(
        account_id=job.account_id,
        run_id=run_id,
        keyring_id=run.keyring_id,
        key_ids=frozenset(run.key_ids),
        given_up=given_up,
        minimum_suite=keyring.minimum_suite,
        home_disk=home_disk_number(vault, account.home_disk),
    )


def verify(run: RunFacts, batch: UploadBatch) -> VerifiedBatch:
    """Every record is what it says it is, for this run; BadRequest names the record's number and the field;
    Damaged where its key was given up since the run began.
    """
    count = len(batch.lengths)
    if len(batch.cids) != count * CID_BYTES:
        raise BadRequest(f"cids: {len(batch.cids)} bytes are not {count} times {CID_BYTES}")
    if any(length < HEADER_BYTES for length in batch.lengths) or sum(batch.lengths) != len(batch.records):
        raise BadRequest(f"lengths: {count} lengths do not fit {len(batch.records)} bytes of records")
    view = memoryview(batch.records)
    cids = bytes(batch.cids)
    records = []
    at = 0
    for number, length in enumerate(batch.lengths):
        record = view[at : at + length]
        records.append(_verify_record(run, number, record, cids[number * CID_BYTES : (number + 1) * CID_BYTES]))
        at += length
    return VerifiedBatch(run, tuple(records))


def append(vault: Vault, batch: VerifiedBatch, identity: Identity) -> Appended:
    """W. Not durable, and not present, before `commit`; records that are here already are skipped."""
    run = batch.facts
    with vault.catalog.read() as view:
        active_run(view, identity, run.run_id)
    ids = b"".join([record.header.id for record in batch.records])
    vault.leases.lease(run.account_id, run.run_id, run.keyring_id, ids)  # also those that are here already
    with translated():
        return vault.store.append(run.home_disk, batch.records)


def home_disk_number(vault: Vault, disk_id: bytes) -> int:
    """The account's own disk; while that one is offline, or lost since the run began, the first that is here."""
    disk = vault.store.disks.find_id(disk_id)
    return vault.store.disks.online[0].number if disk is None else disk.number


def _verify_record(run: RunFacts, number: int, record: memoryview, declared: bytes) -> StoredRecord:
    place = f"record {number} of the batch"
    try:
        header = parse_record(record)
        check_companion(header, record)
    except RecordError as error:
        raise BadRequest(f"{place}: {str(error).removeprefix('record: ')}") from None
    computed = cid(record)
    if computed != declared:
        raise BadRequest(f"{place}: cid {declared.hex()} is not the hash of the record", "read and seal it again")
    if header.sealed:
        _check_sealed(run, header, place)
    else:
        parse_companion(record[HEADER_BYTES:], place)
    if header.keyring_id != run.keyring_id:
        raise BadRequest(f"{place}: keyring {header.keyring_id.hex()} is not the run's")
    return StoredRecord(header, computed, record)


def _check_sealed(run: RunFacts, header: RecordHeader, place: str) -> None:
    if header.type == ROOT_PAYLOAD_TYPE:
        raise BadRequest(f"{place}: type {header.type} is sent with safeset.commit only")
    if header.body_length < BODY_BYTES_MIN[header.suite]:
        smallest = f"the smallest of suite {header.suite} has {BODY_BYTES_MIN[header.suite]}"
        raise BadRequest(f"{place}: body_length {header.body_length} is too small: {smallest}")
    if header.suite < run.minimum_suite:
        raise BadRequest(f"{place}: suite {header.suite} is below the keyring's minimum {run.minimum_suite}")
    if header.key_id not in run.key_ids:
        raise BadRequest(f"{place}: key {header.key_id.hex()} is not a key of this run", "send run.key first")
    if header.key_id in run.given_up:
        raise Damaged(
            f"{place}: run key {header.key_id.hex()} was given up, its erase key or row is damaged",
            "begin a new run; if that is refused too, the operator runs `vaultd check`",
        )
