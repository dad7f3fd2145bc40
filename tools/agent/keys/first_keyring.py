"""Makes a job's keyring from the job's secret, in a child process: nothing of it but the agent's part comes out."""

from dataclasses import dataclass

from protocol.messages import AgentJob, KeyringCreateRequest, SlotUpload
from tools.agent.keys.job_trust import job_address
from tools.agent.state import Identity, StateDirectory
from tools.agent.system.apart import call_apart
from tools.client.agent_key import AgentKey
from tools.client.failure import Failure
from tools.client.fingerprint import parse_fingerprint
from tools.client.job_secret import JobSecret, open_job_secret
from tools.client.keyring import Keyring, Unattended, create_keyring, signing_public_key
from tools.client.record_format import IntegrityError
from tools.client.slot import NewSlot, create_password_slot, create_recovery_slot


@dataclass(frozen=True, slots=True)
class MadeKeyring:
    """`request` tells the vault of it; `message_id` is that of the secret, which is used up."""

    request: KeyringCreateRequest
    unattended: Unattended
    message_id: bytes


def make_apart(state: StateDirectory, identity: Identity, job: AgentJob) -> MadeKeyring:
    """For a worker thread."""
    return call_apart(_make, state, identity, job)


def _make(state: StateDirectory, identity: Identity, job: AgentJob) -> MadeKeyring:
    address = job_address(identity, job.job_id)
    agent_key = AgentKey(state.key_path.read_bytes(), state.load_sealing_private())
    assert job.secret is not None
    try:
        opened = open_job_secret(job.secret, address, agent_key, parse_fingerprint(identity.creator))
    except IntegrityError as error:
        raise Failure("damaged", str(error), "create the job anew; if it happens again, ask the operator") from None
    keyring = create_keyring(job.job_id)
    return MadeKeyring(
        _request(keyring, job.job_id, _slots(keyring, opened.secret)),
        Unattended.of(keyring, job.job_id),
        opened.message_id,
    )


def _slots(keyring: Keyring, secret: JobSecret) -> list[NewSlot]:
    slots = [create_password_slot(keyring, secret.password)]
    if secret.recovery_code is not None:
        slots.append(create_recovery_slot(keyring, secret.recovery_code))
    return slots


def _request(keyring: Keyring, job_id: bytes, slots: list[NewSlot]) -> KeyringCreateRequest:
    newest = keyring.newest
    return KeyringCreateRequest(
        job_id=job_id,
        keyring_id=keyring.keyring_id,
        generation=newest.number,
        kem=newest.kem,
        public_key=newest.public_key,
        minimum_suite=newest.minimum_suite,
        signing_key=signing_public_key(keyring.signing_seed(job_id, newest.number)),
        slots=[SlotUpload(new.slot, new.proof_hash) for new in slots],
    )
