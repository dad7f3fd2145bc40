"""The agent's part of a job's keyring: from its state, or made on the first run from the job's secret.

Order: the unattended part is saved before the vault hears of the keyring, the message id after it. A crash between them
leaves the secret usable for another try, and no keyring whose keys this computer lacks: what each try made is kept
until the vault names the keyring that it took, because a request that seemed lost may arrive after the next one. The
whole keyring and the password exist only in a child process that makes them, so that no memory keeps them for the
length of a run.

A job's name stands for the same job for ever: a vault must not put an earlier job of the same creator and name in the
place of the one that is backed up.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from protocol.messages import AgentJob, KeyringCreateAnswer
from tools.agent.state import Identity, JobState, StateDirectory
from tools.client.failure import Failure
from tools.client.keyring import Unattended
from tools.client.offload import compute
from tools.client.record_format import IntegrityError
from tools.client.session import VaultSession

if TYPE_CHECKING:
    from tools.agent.keys.first_keyring import MadeKeyring

# Nearly every run finds its keys in the state: what opens messages and makes keyrings is loaded where it is needed.
_FIRST_KEYRING = "tools.agent.keys.first_keyring"
_NEWER_KEYS = "tools.agent.keys.newer_keys"

_OfJob = Callable[[StateDirectory, Identity, AgentJob], Awaitable[Unattended]]
_OfJobAndOwn = Callable[[StateDirectory, Identity, AgentJob, Unattended], Awaitable[Unattended]]
_Make = Callable[[StateDirectory, Identity, AgentJob], "MadeKeyring"]

_SEAL_AGAIN = {
    False: "remove the job and create it again; the operator runs: vaultd check",
    True: "rotate the job's keys once more: vaultctl keyring password --rotate; the operator runs: vaultd check",
}


async def load_job_keys(session: VaultSession, state: StateDirectory, identity: Identity, job: AgentJob) -> Unattended:
    """The keys that the job's runs use; on the first run makes the keyring."""
    is_known = require_known_job(state, job)
    keys = await _load(session, state, identity, job)
    if not is_known:
        state.save_job_id(job.name, job.job_id)
    return keys


def require_known_job(state: StateDirectory, job: AgentJob) -> bool:
    """False where the name stood for no job until now; Failure where it stood for another one."""
    known_job_id = state.known_job_id(job.name)
    if known_job_id is not None and known_job_id != job.job_id:
        raise Failure(
            "conflict",
            f"the vault shows another job under the name {job.name!r} than the one that this agent backed up",
            f"if you created the job anew, remove its line from {state.names_path}; else ask the vault's operator",
        )
    return known_job_id is not None


def require_secret(job: AgentJob) -> None:
    """Failure where there is one that the vault cannot give."""
    sentence = f"what was sealed for this agent of job {job.name!r}"
    if job.secret_lost == "unavailable":
        hint = "try again when the vault's operator has looked at its disks"
        raise Failure("unavailable", f"{sentence} cannot be read at the vault now", hint)
    if job.secret_lost == "damaged":
        raise Failure("damaged", f"{sentence} is damaged at the vault", _SEAL_AGAIN[job.keyring_id is not None])


async def _load(session: VaultSession, state: StateDirectory, identity: Identity, job: AgentJob) -> Unattended:
    job_state = state.job(job.job_id)
    if job.keyring_id is not None:
        unattended = _saved(job_state, job.keyring_id)
        if unattended is None and job.secret is not None and job_state.is_new:
            take_first: _OfJob = (await compute(importlib.import_module, _NEWER_KEYS)).take_first_keys
            return await take_first(state, identity, job)
        if unattended is None and job_state.is_new:
            require_secret(job)
        if unattended is None:
            raise Failure(
                "conflict",
                f"the keyring of job {job.name!r} was made by another state directory than this one",
                f"if this computer replaces that one, run `vault-agent adopt {job.name}`, which asks for the job's"
                " password, and back up again; else use the state directory of that agent, or create the job anew",
            )
        if not job_state.has_made_keyring:
            job_state.mark_used(job.keyring_id)  # the answer to keyring.create was lost, and the message's id with it
        if job.secret is None:
            return unattended
        take_newer: _OfJobAndOwn = (await compute(importlib.import_module, _NEWER_KEYS)).take_newer_keys
        return await take_newer(state, identity, job, unattended)
    require_secret(job)
    if job.secret is None:
        raise Failure("conflict", f"job {job.name!r} has no keyring and no secret to make one", "create the job anew")
    if job_state.has_made_keyring:
        raise Failure(
            "damaged",
            f"the vault asks again for the keyring of job {job.name!r}, which was made already",
            "the vault may have lost data or was rolled back: ask its operator, or create the job anew",
        )
    make: _Make = (await compute(importlib.import_module, _FIRST_KEYRING)).make_apart
    made = await compute(make, state, identity, job)
    job_state.save_candidate(made.unattended.keyring_id, made.unattended.encode())
    await session.ask("keyring.create", made.request, KeyringCreateAnswer)
    job_state.take_candidate(made.unattended.keyring_id)
    job_state.mark_used(made.message_id)
    return made.unattended


def are_keys_elsewhere(state: StateDirectory, job: AgentJob) -> bool:
    """Whether another state directory made the job's keyring, which `load_job_keys` refuses; changes nothing."""
    job_state = state.job(job.job_id)
    if job.keyring_id is None or job_state.load_candidate(job.keyring_id) is not None:
        return False
    if job_state.is_new:
        return job.secret is None and job.secret_lost is None
    saved = job_state.load_unattended()
    return saved is None or _decode(saved).keyring_id != job.keyring_id


def _saved(job_state: JobState, keyring_id: bytes) -> Unattended | None:
    """Of the keyring that the vault names, if it was made here."""
    saved = job_state.load_unattended()
    unattended = _decode(saved) if saved is not None else None
    if unattended is not None and unattended.keyring_id == keyring_id:
        return unattended
    candidate = job_state.load_candidate(keyring_id)
    if candidate is None:
        return None
    unattended = _decode(candidate)
    job_state.take_candidate(keyring_id)
    return unattended


def _decode(saved: bytes) -> Unattended:
    try:
        return Unattended.decode(saved)
    except IntegrityError as error:
        raise Failure("damaged", f"the agent's state is damaged: {error}", "bring it back from a copy") from None
