"""Takes the keys of a job up on a computer that replaces the one that made them, with the job's password or code.

The slot is opened in child processes, whose memory ends with them: what is kept is the unattended part alone. Nothing
is kept before every safeset, from the first one on, was seen to be signed by the job's keys and to follow the one
before it.
"""

from dataclasses import dataclass

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import (
    AgentJob,
    RestoreOpenAnswer,
    RestoreOpenRequest,
    RestoreParametersAnswer,
    RestoreParametersRequest,
)
from tools.agent.history.chain import Chain
from tools.agent.keys.job_keys import require_known_job
from tools.agent.keys.job_trust import check_job
from tools.agent.safeset.unlock import Secret, slots_for, wrong_secret
from tools.agent.state import Identity, KnownHead, StateDirectory
from tools.agent.system.apart import call_apart
from tools.client.failure import Failure
from tools.client.keyring import Keyring, Unattended, signing_public_key
from tools.client.offload import compute
from tools.client.record_format import IntegrityError, LaterVersion
from tools.client.root import generation_of
from tools.client.session import VaultSession
from tools.client.slot import SlotParameters, derive_keys, open_slot_copies

_NOTHING = "nothing was taken up; ask the vault's operator"


@dataclass(frozen=True, slots=True)
class Adopting:
    """Who takes which job up: the caller holds the lock of the state directory."""

    session: VaultSession
    state: StateDirectory
    identity: Identity
    job: AgentJob


@dataclass(frozen=True, slots=True)
class _JobKeys:
    """The unattended part, and the public keys of the job's roots by generation."""

    unattended: Unattended
    signing_keys: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class _WholeChain(Chain):
    """From the first safeset on, under whatever generation each was made."""

    signing_keys: dict[int, bytes]

    def load_signers(self) -> dict[int, bytes]:
        return self.signing_keys

    def signing_key(self, encoded: bytes, signers: dict[int, bytes]) -> bytes:
        key = signers.get(generation_of(encoded))
        if key is None:
            raise IntegrityError(f"the keyring has no signing key for its generation {generation_of(encoded)}")
        return key


async def adopt(adopting: Adopting, secret: Secret, sequence: int) -> KnownHead:
    """The job's newest safeset. `sequence`: the one by which the vault gives the slot out, 0 for the latest."""
    job, state = adopting.job, adopting.state
    check_job(state, adopting.identity, job)
    require_known_job(state, job)
    _require_keys_elsewhere(state, job)
    keys = await _open(adopting, secret, sequence)
    job_state = state.job(job.job_id)
    computer_id = bytes.fromhex(adopting.identity.computer_id)
    chain = _WholeChain(
        adopting.session, job_state, keys.unattended, job.job_id, computer_id, keys.signing_keys
    )  # fmt: skip
    try:
        head = await chain.follow(None, job)
    except Failure as failure:
        raise Failure(failure.code, failure.message, _NOTHING) from None
    # The keys come last: with them the next backup begins.
    newest = keys.unattended.generation
    job_state.save_signers({number: key for number, key in keys.signing_keys.items() if number < newest})
    job_state.save_head(head)
    job_state.mark_used(keys.unattended.keyring_id)
    state.save_job_id(job.name, job.job_id)
    job_state.save_unattended(keys.unattended.encode())
    return head


def _require_keys_elsewhere(state: StateDirectory, job: AgentJob) -> None:
    hint = f"run `vault-agent backup {job.name}`"
    if job.keyring_id is None:
        raise Failure("conflict", f"job {job.name!r} has no keyring yet: there is nothing to take up", hint)
    saved = state.job(job.job_id).load_unattended()
    if saved is not None and Unattended.decode(saved).keyring_id == job.keyring_id:
        raise Failure("conflict", f"this agent has the keys of job {job.name!r} already", hint)


async def _open(adopting: Adopting, secret: Secret, sequence: int) -> _JobKeys:
    session, job = adopting.session, adopting.job
    parameters, _ = await session.ask(
        "restore.parameters", RestoreParametersRequest(None, job.name), RestoreParametersAnswer
    )
    if (parameters.job_id, parameters.keyring_id) != (job.job_id, job.keyring_id):
        raise Failure("damaged", f"the vault shows another job or keyring under the name {job.name!r}", _NOTHING)
    for slot in slots_for(parameters, secret):
        proof = await compute(call_apart, _proof, secret, slot)
        request = RestoreOpenRequest(None, job.name, slot.slot_id, proof, sequence)
        try:
            answer, _ = await session.ask("restore.open", request, RestoreOpenAnswer)
        except RemoteProtocolError as error:
            if error.code is ErrorCode.wrong_password:
                continue
            raise
        keys = await compute(call_apart, _job_keys, secret, slot, list(answer.slots), job.job_id)
        if keys.unattended.keyring_id != job.keyring_id:
            raise Failure("damaged", "the slot holds another keyring than the vault names", _NOTHING)
        return keys
    raise wrong_secret(secret)


def _proof(secret: Secret, parameters: SlotParameters) -> bytes:
    try:
        return derive_keys(secret, parameters).proof
    except IntegrityError as error:
        raise Failure("damaged", f"the vault's parameters of a slot are bad: {error}", _NOTHING) from None


def _job_keys(secret: Secret, parameters: SlotParameters, slots: list[bytes], job_id: bytes) -> _JobKeys:
    try:
        keyring = open_slot_copies(slots, derive_keys(secret, parameters))
        return _JobKeys(Unattended.of(keyring, job_id), _signing_keys(keyring, job_id))
    except LaterVersion as error:
        raise Failure("conflict", str(error), "update safeset on this computer") from None
    except IntegrityError as error:
        message = f"the slot that this opens is damaged: {error}"
        raise Failure("damaged", message, "try the other one: password or recovery code") from None


def _signing_keys(keyring: Keyring, job_id: bytes) -> dict[int, bytes]:
    """Of the generations that the job has one for."""
    found = {}
    for generation in keyring.generations:
        try:
            found[generation.number] = signing_public_key(keyring.signing_seed(job_id, generation.number))
        except IntegrityError:
            continue
    return found
