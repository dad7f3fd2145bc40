"""Giving back: the slots' parameters, a safeset against the proof of its password, and the records it needs.

An agent may restore any job of its own account whose password it proves; jobs of other accounts do not exist for it.
Records and sealed keys leave the vault under a ticket only.
"""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from blake3 import blake3

from vaultd.catalog.database import View
from vaultd.catalog.keyrings import list_slots, read_run_key
from vaultd.errors import BadRequest, Damaged, NotFound, Unavailable, WrongPassword
from vaultd.operations import access
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import choose
from vaultd.operations.sealed_headers import SlotHeader, parse_slot
from vaultd.operations.store_errors import OFFLINE_HINT, translated
from vaultd.operations.tickets import Ticket
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, SLOT, run_key_owners, slot_owner, unwrap
from vaultd.records import NO_ID, Identity, Job, Safeset, Slot
from vaultd.store.errors import DiskMissing
from vaultd.store.index import Location
from vaultd.store.record_format import parse_header

FETCH_IDS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Parameters:
    """`safesets_newest` is the number that 0 stands for, 0 when there is no safeset."""

    job_id: bytes
    computer_id: bytes
    keyring_id: bytes
    slots: list[SlotHeader]
    safesets_newest: int


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """`computer` None is the agent's own; `sequence` 0 is the newest complete safeset."""

    computer: str | None
    job: str
    slot_id: bytes
    proof: bytes = field(repr=False)
    sequence: int


@dataclass(frozen=True, slots=True)
class Opened:
    """`slots` are the readable copies of the slot; `run_keys` are (key id, sealed) of payload and top block."""

    ticket: bytes
    slots: list[bytes]
    root: bytes
    payload: bytes
    countersignature: bytes
    vault_time_ns: int
    run_keys: list[tuple[bytes, bytes]]
    top_block: bytes
    top_companion: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records in the order of asking, as many as fitted; `keys` are (key id, sealed) that were not sent before."""

    records: list[bytes]
    keys: list[tuple[bytes, bytes]]


def parameters(vault: Vault, identity: Identity, computer: str | None, job: str) -> Parameters:
    """What a password needs to be turned into a proof."""
    with vault.catalog.read() as view:
        row = access.job_with_keyring(_job(view, identity, computer, job))
        slots = list(list_slots(view, row.account_id, row.keyring_id))
    headers = _headers(vault, slots)
    if not headers:
        raise Damaged(f"no slot of job {row.name!r} can be read", "the operator runs: vaultd check")
    return Parameters(
        job_id=row.job_id,
        computer_id=row.computer_id,
        keyring_id=row.keyring_id,
        slots=headers,
        safesets_newest=row.complete_sequence or row.head_sequence,
    )


def open_restore(vault: Vault, identity: Identity, request: OpenRequest) -> Opened:
    """Counts the attempt, compares the proof, and gives a ticket with the top of the safeset."""
    with vault.catalog.read() as view:
        job = access.job_with_keyring(_job(view, identity, request.computer, request.job))
        slots = list(list_slots(view, job.account_id, job.keyring_id, request.slot_id))
        if not slots or len(request.slot_id) != len(NO_ID):
            raise NotFound(f"job {request.job!r} has no slot {request.slot_id.hex()}")
    vault.proofs.attempt(identity, job.job_id)
    _check_proof(slots, request.proof)
    vault.proofs.succeeded(identity, job.job_id)
    with vault.catalog.read() as view:
        safeset = choose(view, job, request.sequence)
    ticket = vault.tickets.issue(identity, job.job_id, job.keyring_id)
    stream = FetchStream(vault, vault.tickets.find(identity, ticket))
    keys: list[tuple[bytes, bytes]] = []
    payload_id, block_id, companion_id = _top_ids(safeset)
    payload, top_companion = (_unless_lost(stream, id_, keys) for id_ in (payload_id, companion_id))
    top = stream.fetch([block_id], bytes_max=1 << 30)
    keys += top.keys
    return Opened(
        ticket=ticket,
        slots=_readable(vault, slots),
        root=safeset.root,
        payload=payload,
        countersignature=safeset.countersignature,
        vault_time_ns=safeset.stored_at_ns,
        run_keys=keys,
        top_block=top.records[0],
        top_companion=top_companion,
    )


def _unless_lost(stream: "FetchStream", id_: bytes, keys: list[tuple[bytes, bytes]]) -> bytes:
    """Empty where it cannot be read: a restore needs neither payload nor companion, and says what it lacks."""
    try:
        fetched = stream.fetch([id_], bytes_max=1 << 30)
    except (Damaged, NotFound, Unavailable):
        return b""
    keys += fetched.keys
    return fetched.records[0]


def open_fetch(vault: Vault, identity: Identity, ticket: bytes) -> "FetchStream":
    return FetchStream(vault, vault.tickets.find(identity, ticket))


class FetchStream:
    """One stream of records under a ticket: each sealed key goes out once. Threads: one at a time."""

    def __init__(self, vault: Vault, ticket: Ticket) -> None:
        self._vault = vault
        self._ticket = ticket
        self._sent: set[bytes] = set()

    def fetch(self, ids: Sequence[bytes], bytes_max: int) -> Fetched:
        """The first records of `ids` that fit into `bytes_max`, at least one; every byte was held against its
        checksum.
        """
        if len(ids) > FETCH_IDS_MAX:
            raise BadRequest(f"ids: {len(ids)} are more than {FETCH_IDS_MAX}")
        records: list[bytes] = []
        size = 0
        with translated():
            locations = self._vault.store.locate(self._ticket.keyring_id, ids)
            for id_, location in zip(ids, locations, strict=True):
                if location is None:
                    raise NotFound(f"record {id_.hex()} is not here")
                if records and size + location.length > bytes_max:
                    break
                records.append(self._read(location, id_))
                size += location.length
        return Fetched(records, list(self._new_keys(records)))

    def _read(self, location: Location, id_: bytes) -> bytes:
        """A disk that is away costs what lies on it and not the whole restore: the agent goes on after this record."""
        try:
            return self._vault.store.read(location, id_)
        except DiskMissing as error:
            raise Unavailable(f"record {id_.hex()} is on a disk that is offline", OFFLINE_HINT) from error

    def _new_keys(self, records: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """One that cannot be read is left out: it costs the records under it, which the agent names one by one."""
        new = dict.fromkeys(parse_header(record).key_id for record in records)
        wanted = [key_id for key_id in new if key_id != NO_ID and key_id not in self._sent]
        if not wanted:
            return
        with self._vault.catalog.read() as view:
            rows = [read_run_key(view, self._ticket.account_id, self._ticket.keyring_id, key_id) for key_id in wanted]
        for key_id, row in zip(wanted, rows, strict=True):
            if row is None:
                continue
            owners = run_key_owners(row.job_id, self._ticket.keyring_id)
            with suppress(Damaged):
                yield key_id, unwrap(self._vault, owners, RUN_KEY, key_id, row.wrapped)
                self._sent.add(key_id)


def _job(view: View, identity: Identity, computer: str | None, job: str) -> Job:
    own = access.own_computer(view, identity)
    return access.named_job(view, own if computer is None else access.named_computer(view, identity, computer), job)


def _check_proof(copies: Sequence[Slot], proof: bytes) -> None:
    """The right password fits any one copy: a damaged hash must not turn it into a wrong one."""
    hash_ = blake3(proof).digest()
    # Each copy is compared, so that the time does not say which one fitted.
    if not any([hmac.compare_digest(hash_, copy.proof_hash) for copy in copies]):
        raise WrongPassword("the password or recovery code is wrong")


def _top_ids(safeset: Safeset) -> list[bytes]:
    root = parse_root(safeset.root)
    return [safeset.payload_id, root.top_block, root.top_companion]


def _headers(vault: Vault, slots: Sequence[Slot]) -> list[SlotHeader]:
    """One header for each slot that reads, from the first copy that does."""
    found: dict[bytes, SlotHeader] = {}
    for slot in slots:
        if slot.slot_id in found:
            continue
        try:
            found[slot.slot_id] = parse_slot(_unwrap_slot(vault, slot))
        except (Damaged, BadRequest):
            continue
    return list(found.values())


def _unwrap_slot(vault: Vault, slot: Slot) -> bytes:
    return unwrap(vault, [slot_owner(slot.slot_id)], SLOT, slot.slot_id, slot.wrapped)


def _readable(vault: Vault, slots: Sequence[Slot]) -> list[bytes]:
    copies = []
    for slot in slots:
        try:
            copies.append(_unwrap_slot(vault, slot))
        except Damaged:
            continue
    if not copies:
        raise Damaged(f"slot {slots[0].slot_id.hex()} cannot be read", "the operator runs: vaultd check")
    return copies
