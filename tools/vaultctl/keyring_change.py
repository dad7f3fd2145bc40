"""The change of a keyring that is asked of a vault, made from the keyring as it was opened here. Slow: Argon2id."""

from collections.abc import Mapping

from protocol import messages as m
from tools.client.held_keyring import HeldKeyring
from tools.client.job_definition import JobAddress
from tools.client.job_secret import seal_new_keys
from tools.client.keyring import Keyring, signing_public_key
from tools.client.new_keys import NewKeys
from tools.client.rotate import rotate_keyring
from tools.client.slot import KIND_PASSWORD, NewSlot, create_password_slot, create_recovery_slot
from tools.vaultctl.confirmed_agent import ConfirmedAgent


def password_change(held: HeldKeyring, password: str) -> m.SlotChange:
    """The same keyring under another password; what lies under the recovery code stays as it is."""
    return _change(held, [create_password_slot(held.keyring, password)], held.slot_ids(KIND_PASSWORD), None)


def rotation(
    held: HeldKeyring, password: str, code: bytes | None, agents: Mapping[bytes, ConfirmedAgent], *, new_ids: bool
) -> m.SlotChange:
    """A newer generation in slots that take the place of all. `agents` by the job that each is to go on with; without
    a `code` the password alone opens the keyring from now on.
    """
    rotated = rotate_keyring(held.keyring, agents, new_ids=new_ids)
    newest = rotated.newest
    jobs = [_job_keys(rotated, job_id, agent) for job_id, agent in agents.items()]
    sent = m.Rotation(newest.number, newest.kem, newest.public_key, newest.minimum_suite, jobs)
    return _change(held, _slots(rotated, password, code), _all_slots(held), sent)


def join_change(held: HeldKeyring, joined: Keyring, password: str, code: bytes | None) -> m.SlotChange:
    """The keyring with the signing key of one more job, in slots that take the place of all."""
    return _change(held, _slots(joined, password, code), _all_slots(held), None)


def _all_slots(held: HeldKeyring) -> list[bytes]:
    return [slot.slot_id for slot in held.parameters.slots]


def _slots(keyring: Keyring, password: str, code: bytes | None) -> list[NewSlot]:
    slots = [create_password_slot(keyring, password)]
    return slots if code is None else [*slots, create_recovery_slot(keyring, code)]


def new_keys_for(keyring: Keyring, job_id: bytes, agent: ConfirmedAgent) -> bytes:
    """What the agent goes on with, sealed to its key."""
    address = JobAddress(agent.account_id, agent.computer_id, job_id)
    return seal_new_keys(NewKeys.of(keyring, job_id), address, agent.recipient, agent.creator)


def _job_keys(keyring: Keyring, job_id: bytes, agent: ConfirmedAgent) -> m.JobKeys:
    signing_key = signing_public_key(keyring.signing_seed(job_id, keyring.newest.number))
    return m.JobKeys(job_id, signing_key, new_keys_for(keyring, job_id, agent))


def _change(held: HeldKeyring, slots: list[NewSlot], removed: list[bytes], sent: m.Rotation | None) -> m.SlotChange:
    uploads = [m.SlotUpload(new.slot, new.proof_hash) for new in slots]
    return m.SlotChange(held.keyring.keyring_id, held.slot_id, held.proof, uploads, removed, sent)
