"""What an administrator may have of a keyring and do to it: the parameters of its slots, a slot against the proof of
its password, and other slots in the place of those.

Neither the token of an administrator nor an agent's key gives a slot out or takes one away: that needs a proof, which
is counted like that of a restore.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_jobs
from vaultd.catalog.keyrings import erase_slot, list_erased_slot_ids, list_slot_ids, list_slots, read_keyring
from vaultd.errors import BadRequest, Conflict, Damaged, Internal, NotFound, Unavailable
from vaultd.operations import access, ledger
from vaultd.operations.auditing import audited
from vaultd.operations.keyrings import SLOTS_MAX, NewSlot, checked_slots, slot_changes
from vaultd.operations.rotation import Rotation, rotate
from vaultd.operations.sealed_headers import SlotHeader
from vaultd.operations.slots import check_proof, readable_copies, slot_headers
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import slot_owner
from vaultd.records import Change, Identity, Job, Keyring, Slot
from vaultd.store.journal.format import EntryKind

CHANGED_HINT = "another command changed the keyring meanwhile: run this one again"


@dataclass(frozen=True, slots=True)
class KeyringJob:
    """A job that the keyring is of, and that was not removed."""

    job_id: bytes
    computer: str
    job: str
    protected_bytes: int


@dataclass(frozen=True, slots=True)
class Parameters:
    job_id: bytes
    keyring_id: bytes
    generation: int
    slots: list[SlotHeader]
    jobs: list[KeyringJob]


@dataclass(frozen=True, slots=True)
class SlotChange:
    """`slot_id` and `proof`: of the slot that the keyring was opened with. `removed` are the slots that go."""

    keyring_id: bytes
    slot_id: bytes
    proof: bytes = field(repr=False)
    slots: tuple[NewSlot, ...]
    removed: tuple[bytes, ...]
    rotation: Rotation | None = None


def parameters(vault: Vault, identity: Identity, computer: str, job: str) -> Parameters:
    """What a password needs to be turned into a proof, and whom a change would concern."""
    with vault.catalog.read() as view:
        row, keyring = _named(view, identity, computer, job)
        slots = list(list_slots(view, row.account_id, row.keyring_id))
        jobs = [_summary(view, one) for one in working_jobs_of(view, keyring)]
    headers = slot_headers(vault, slots)
    if not headers:
        raise Damaged(f"no slot of job {row.name!r} can be read", "the operator runs: vaultd check")
    return Parameters(row.job_id, keyring.keyring_id, keyring.generation, headers, jobs)


def open_slot(vault: Vault, identity: Identity, computer: str, job: str, slot_id: bytes, proof: bytes) -> list[bytes]:
    """The readable copies of the slot. The attempt is counted first."""
    with vault.catalog.read() as view:
        row, keyring = _named(view, identity, computer, job)
        slots = _copies(view, row, keyring, slot_id)
    _prove(vault, identity, row, slots, proof)
    return readable_copies(vault, slots)


def change_slots(vault: Vault, identity: Identity, computer: str, job: str, change: SlotChange) -> None:
    """W. The new slots are durable, each under an erase key of its own, before an old one is out of reach: one journal
    entry brings them and takes the old rows away, and then the erase keys of those are destroyed. The same change again
    completes it.
    """
    with vault.catalog.read() as view:
        row, keyring = _named(view, identity, computer, job)
        if keyring.keyring_id != change.keyring_id:
            raise Conflict(f"job {job!r} has another keyring than this one", CHANGED_HINT)
        is_done = is_made(vault, view, keyring, change)
    if not is_done:
        changes = replace_slots(vault, identity, row, keyring, change)
        with vault.catalog.read() as view:
            audit = audited(vault, view, identity, "keyring.slots", f"{computer}/{job}")
        ledger.record(vault, [*changes, *audit], EntryKind.slot, keyring=keyring.keyring_id)
    destroy_erased_slots(vault, keyring)


def is_made(vault: Vault, view: View, keyring: Keyring, change: SlotChange) -> bool:
    """Whether an earlier copy of the request was carried out: each new slot is here as it was sent, and no old one."""
    here = set(list_slot_ids(view, keyring.account_id, keyring.keyring_id))
    if here & set(change.removed) or not change.slots:
        return False
    kept = list(list_slots(view, keyring.account_id, keyring.keyring_id)) if here else []
    rows = [[row for row in kept if row.slot_id == new.slot[8:24]] for new in change.slots]
    return all(
        found and found[0].proof_hash == new.proof_hash and new.slot in readable_copies(vault, found)
        for found, new in zip(rows, change.slots, strict=True)
    )


def replace_slots(
    vault: Vault, identity: Identity, row: Job, keyring: Keyring, change: SlotChange, *, takes_all: bool = False
) -> list[Change]:
    """W. The changes that bring the new slots and take the old ones away; the proof is checked, and counted.

    `takes_all`: none may stay, as after a rotation. One that cannot be read is unknown to whoever asks, and goes too.
    """
    with vault.catalog.read() as view:
        proved = _copies(view, row, keyring, change.slot_id)
        here = set(list_slot_ids(view, keyring.account_id, keyring.keyring_id))
        _prove(vault, identity, row, proved, change.proof)
        rotated: list[Change] = []
        if change.rotation is not None or takes_all:
            _refuse_to_keep(vault, view, keyring, change)
        if change.rotation is not None:
            keyring, rotated = rotate(vault, view, keyring, working_jobs_of(view, keyring), change.rotation)
        for slot_id in change.removed:
            if slot_id not in here:
                raise NotFound(f"job {row.name!r} has no slot {slot_id.hex()}", CHANGED_HINT)
        if len(here - set(change.removed)) + len(change.slots) > SLOTS_MAX:
            raise BadRequest(f"slots: a keyring has at most {SLOTS_MAX}")
        slots = checked_slots(view, keyring.keyring_id, keyring.generation, change.slots)
    now_ns, gone = vault.clock.now_ns(), here if change.rotation is not None or takes_all else set(change.removed)
    removed = [one for slot_id in sorted(gone) for one in erase_slot(keyring, slot_id, now_ns)]
    return [*slot_changes(vault, keyring, slots), *removed, *rotated]


def _refuse_to_keep(vault: Vault, view: View, keyring: Keyring, change: SlotChange) -> None:
    known = slot_headers(vault, list(list_slots(view, keyring.account_id, keyring.keyring_id)))
    if {header.slot_id for header in known} - set(change.removed):
        raise BadRequest("removed: a slot that lacks the newest keys must not stay")


def destroy_erased_slots(vault: Vault, keyring: Keyring) -> None:
    """W. Of one keyring; what its rows name cannot be read any more when this returns."""
    with vault.catalog.read() as view:
        slot_ids = list_erased_slot_ids(view, keyring.account_id + keyring.keyring_id)
    for slot_id in slot_ids:
        try:
            with translated():
                vault.erase_keys.destroy(slot_owner(slot_id))
        except OSError as error:
            raise Unavailable(
                "the new slots are kept, but the erase key of an old one could not be written over on every disk",
                "the operator looks at the disks; a restart of the vault, or the same command, completes this",
            ) from error


def jobs_of(view: View, keyring: Keyring) -> list[Job]:
    return [job for job in list_jobs(view, keyring.account_id) if job.keyring_id == keyring.keyring_id]


def working_jobs_of(view: View, keyring: Keyring) -> list[Job]:
    """Without the removed ones: they make no roots any more, so a change leaves their keys and slots as they are, needs
    no word of their agents, and is not kept up by them.
    """
    return [job for job in jobs_of(view, keyring) if not job.removed_ns]


def _named(view: View, identity: Identity, computer: str, job: str) -> tuple[Job, Keyring]:
    row = access.job_with_keyring(access.named_job(view, access.named_computer(view, identity, computer), job))
    keyring = read_keyring(view, row.account_id, row.keyring_id)
    if keyring is None:
        raise Internal(f"keyring {row.keyring_id.hex()} is not in the catalog")
    return row, keyring


def _copies(view: View, row: Job, keyring: Keyring, slot_id: bytes) -> Sequence[Slot]:
    slots = list(list_slots(view, keyring.account_id, keyring.keyring_id, slot_id))
    if not slots:
        raise NotFound(f"job {row.name!r} has no slot {slot_id.hex()}", CHANGED_HINT)
    return slots


def _prove(vault: Vault, identity: Identity, row: Job, slots: Sequence[Slot], proof: bytes) -> None:
    vault.proofs.attempt(identity, row.keyring_id)
    check_proof(slots, proof)
    vault.proofs.succeeded(identity, row.keyring_id)


def _summary(view: View, job: Job) -> KeyringJob:
    computer = read_computer(view, job.account_id, job.computer_id)
    return KeyringJob(job.job_id, "" if computer is None else computer.name, job.name, job.protected_bytes)
