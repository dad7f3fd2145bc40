"""Giving back: the slots' parameters, a safeset against the proof of its password, and the records it needs.

An agent may restore its own jobs whose password it proves, and those of other computers of its account under a grant;
jobs of other accounts do not exist for it.
Records and sealed keys leave the vault under a ticket only.
"""

from dataclasses import dataclass, field

from vaultd.catalog.damaged_safesets import is_damaged
from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_job
from vaultd.catalog.keyrings import list_slots
from vaultd.catalog.safesets import safeset_key
from vaultd.errors import Damaged, NotFound, NotSignedIn, Unavailable, VaultError
from vaultd.operations import access, grants
from vaultd.operations.fetch import FetchStream, Loss
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import choose
from vaultd.operations.sealed_headers import SlotHeader
from vaultd.operations.slots import check_proof, readable_copies, slot_headers
from vaultd.operations.standing import is_live
from vaultd.operations.store_errors import OFFLINE_HINT
from vaultd.operations.vault import Vault
from vaultd.policy.provisional import newest_sequence
from vaultd.records import NO_ID, Identity, Job, Safeset


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
    """`slots` are the readable copies of the slot; `run_keys` are (key id, sealed) of payload and top block; `damaged`:
    the vault knows that something of the safeset is damaged or lost.
    """

    job_id: bytes
    needs_grant: bool
    ticket: bytes
    slots: list[bytes]
    root: bytes
    payload: bytes
    countersignature: bytes
    vault_time_ns: int
    run_keys: list[tuple[bytes, bytes]]
    top_block: bytes
    top_companion: bytes
    damaged: bool


def parameters(vault: Vault, identity: Identity, computer: str | None, job: str) -> Parameters:
    """What a password needs to be turned into a proof."""
    with vault.catalog.read() as view:
        row = access.job_with_safesets(_job(vault, view, identity, computer, job))
        slots = list(list_slots(view, row.account_id, row.keyring_id))
    headers = slot_headers(vault, slots)
    if not headers:
        raise Damaged(f"no slot of job {row.name!r} can be read", "the operator runs: vaultd check")
    return Parameters(
        job_id=row.job_id,
        computer_id=row.computer_id,
        keyring_id=row.keyring_id,
        slots=headers,
        safesets_newest=newest_sequence(row),
    )


def open_restore(vault: Vault, identity: Identity, request: OpenRequest) -> Opened:
    """Counts the attempt, compares the proof, and gives a ticket with the top of the safeset. Before that is answered
    the caller has a grant noted as used (`grants.use`).
    """
    with vault.catalog.read() as view:
        job = access.job_with_safesets(_job(vault, view, identity, request.computer, request.job))
        slots = list(list_slots(view, job.account_id, job.keyring_id, request.slot_id))
        if not slots or len(request.slot_id) != len(NO_ID):
            raise NotFound(f"job {request.job!r} has no slot {request.slot_id.hex()}")
    vault.proofs.attempt(identity, job.keyring_id)
    check_proof(slots, request.proof)
    vault.proofs.succeeded(identity, job.keyring_id)
    ticket = b""
    while not ticket:
        with vault.catalog.read() as view:
            current = read_job(view, job.account_id, job.job_id) or job
            safeset = choose(view, current, request.sequence)
            damaged = is_damaged(view, job.account_id, safeset)
        ticket = _issue_ticket(vault, identity, job, safeset)
    stream = FetchStream(vault, vault.tickets.find(identity, ticket))
    fetched = stream.fetch(_top_ids(safeset), bytes_max=1 << 30)
    payload, top_block, top_companion = fetched.records
    if isinstance(top_block, str):
        raise _lost_top(job, top_block)
    return Opened(
        job_id=job.job_id,
        needs_grant=job.computer_id != identity.computer_id,
        ticket=ticket,
        slots=readable_copies(vault, slots),
        root=safeset.root,
        payload=_unless_lost(payload),
        countersignature=safeset.countersignature,
        vault_time_ns=safeset.stored_at_ns,
        run_keys=fetched.keys,
        top_block=top_block,
        top_companion=_unless_lost(top_companion),
        damaged=damaged,
    )


def _issue_ticket(vault: Vault, identity: Identity, job: Job, safeset: Safeset) -> bytes:
    """Asked once more who the agent is: what replaces or removes it takes back the tickets that are there when it is
    durable, so one that is issued later must find it out here. Empty where the safeset lives no more: a collection
    keeps what is read under a ticket only where the ticket was there, or the safeset lived, when it marked.
    """
    key = safeset_key(job.account_id, safeset)
    ticket = vault.tickets.issue(identity, job.job_id, job.keyring_id, key)
    try:
        with vault.catalog.read() as view:
            access.own_computer(view, identity)
            if is_live(view, read_job(view, job.account_id, job.job_id) or job, safeset):
                return ticket
    except NotSignedIn:
        vault.tickets.forget(ticket)
        raise
    vault.tickets.forget(ticket)
    return b""


def _unless_lost(record: bytes | Loss) -> bytes:
    """A restore needs neither payload nor companion, and says what it lacks."""
    return b"" if isinstance(record, str) else record


def _lost_top(job: Job, loss: Loss) -> VaultError:
    sentence = f"the list of files of this safeset of job {job.name!r}"
    if loss == "offline":
        return Unavailable(f"{sentence} is on a disk that is offline", OFFLINE_HINT)
    return Damaged(f"{sentence} is {loss}", "restore another safeset: --safeset N")


def _job(vault: Vault, view: View, identity: Identity, computer: str | None, name: str) -> Job:
    own = access.own_computer(view, identity)
    job = access.named_job(
        view, own if computer is None else access.named_computer(view, identity, computer), name, identity
    )
    grants.require(vault, view, identity, job)
    return job


def _top_ids(safeset: Safeset) -> list[bytes]:
    root = parse_root(safeset.root)
    return [safeset.payload_id, root.top_block, root.top_companion]
