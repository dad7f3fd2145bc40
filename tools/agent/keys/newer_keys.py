"""Goes over to the newer generation of a keyring that the job's creator sent: its part is kept, the older one let go.

Each message is taken once, and never one of a generation that is not newer than the agent's. Order: the keys that
verify earlier safesets first, then the part, then the message's id; a crash between leaves a state that goes on.
"""

from protocol.messages import AgentJob
from tools.agent.keys.job_trust import job_address
from tools.agent.state import Identity, JobState, StateDirectory
from tools.client.agent_key import AgentKey
from tools.client.failure import Failure
from tools.client.fingerprint import parse_fingerprint
from tools.client.job_secret import OpenedKeys, open_new_keys
from tools.client.keyring import Unattended
from tools.client.new_keys import NewKeys, mark_of
from tools.client.offload import compute
from tools.client.record_format import IntegrityError


async def take_newer_keys(state: StateDirectory, identity: Identity, job: AgentJob, own: Unattended) -> Unattended:
    """The agent's own where the message brings nothing newer."""
    job_state = state.job(job.job_id)
    opened = await compute(_opened, state, identity, job)
    newest = opened.keys.unattended
    if job_state.is_used(opened.message_id) or newest.generation <= own.generation:
        return own
    _check_continues(job, own, opened.keys)
    return _keep(job_state, opened)


async def take_first_keys(state: StateDirectory, identity: Identity, job: AgentJob) -> Unattended:
    """Of a job that was created with the keyring of others, before its first run; there is nothing to continue."""
    opened = await compute(_opened, state, identity, job)
    if opened.keys.unattended.keyring_id != job.keyring_id:
        raise _refused(job, "they are of another keyring than the vault names")
    return _keep(state.job(job.job_id), opened)


def _opened(state: StateDirectory, identity: Identity, job: AgentJob) -> OpenedKeys:
    agent_key = AgentKey(state.key_path.read_bytes(), state.load_sealing_private())
    assert job.secret is not None
    address, creator = job_address(identity, job.job_id), parse_fingerprint(identity.creator)
    try:
        return open_new_keys(job.secret, address, agent_key, creator)
    except IntegrityError as error:
        raise _refused(job, str(error)) from None


def _check_continues(job: AgentJob, own: Unattended, keys: NewKeys) -> None:
    """Whoever sent this has opened the keyring that this agent's keys are of."""
    if keys.unattended.keyring_id != own.keyring_id:
        raise _refused(job, "they are of another keyring")
    marks = [one.mark for one in keys.earlier if one.number == own.generation]
    if marks != [mark_of(own)]:
        raise _refused(job, f"they do not go on from generation {own.generation}, which this agent has")


def _keep(job_state: JobState, opened: OpenedKeys) -> Unattended:
    keys = opened.keys
    job_state.save_signers({one.number: one.signing_key for one in keys.earlier})
    job_state.save_unattended(keys.unattended.encode())
    job_state.mark_used(opened.message_id)
    return keys.unattended


def _refused(job: AgentJob, why: str) -> Failure:
    return Failure(
        "damaged",
        f"the new keys of job {job.name!r} cannot be taken: {why}",
        "nothing was sent; run `vaultctl keyring password --rotate` again; if it happens again, ask the operator",
    )
