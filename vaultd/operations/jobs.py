"""Creating jobs, showing them, asking for runs, and what an agent learns of its own."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.jobs import (
    find_job,
    is_owned,
    list_computer_jobs,
    read_job,
    read_secret,
    save_job,
    save_secret,
    update_job,
)
from vaultd.catalog.rows import name_key
from vaultd.catalog.runs import list_runs_back, requested_run
from vaultd.errors import BadRequest, Conflict, Damaged, NotFound, Unavailable
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, named_job, own_computer, working_job
from vaultd.operations.auditing import audited
from vaultd.operations.job_definition import check_beside, check_definition, check_signature
from vaultd.operations.names import check_name
from vaultd.operations.retention_types import require_type
from vaultd.operations.sealed_headers import SECRET_PURPOSE_KEYRING, agent_key_fingerprint, parse_secret
from vaultd.operations.summaries import JobSummary, RunSummary, summarise_job, summarise_run
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import JOB_SECRET, create_erase_key, job_owner, unwrap, wrap
from vaultd.records import NO_ID, Change, Computer, Identity, Job, JobDefinition, Outcome

RUNS_SHOWN = 50

# Unavailable: it cannot be read now, or a disk is away which may have the key that opens it.
SecretLoss = Literal["damaged", "unavailable"]


@dataclass(frozen=True, slots=True)
class NewJob:
    job_id: bytes
    computer: str
    name: str
    definition: JobDefinition
    revision: int
    creator_key: bytes
    signature: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AskedJob:
    """A job that may be made, or the one that an earlier copy of the request made."""

    job: Job
    known: Job | None


@dataclass(frozen=True, slots=True)
class JobDetails:
    job: JobSummary
    runs: list[RunSummary]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a run: its number, and whose agent is to hear of it."""

    number: int
    computer_id: bytes
    job_id: bytes


@dataclass(frozen=True, slots=True)
class RequestState:
    """`waiting` until the agent begins the run, then `running`, `done` or `failed`; `aborted` where it was taken back
    before.
    """

    state: str
    job_id: bytes
    run: RunSummary | None


@dataclass(frozen=True, slots=True)
class AgentJob:
    """A job as its agent sees it. The secret is there until the keyring is, or until newer keys of it were taken;
    `secret_lost` says why one that is kept cannot be given.
    """

    job_id: bytes
    name: str
    definition: JobDefinition
    revision: int
    creator_key: bytes
    signature: bytes
    secret: bytes | None = field(repr=False)
    keyring_id: bytes | None
    head_sequence: int
    head_hash: bytes
    timeline: int
    run_requested: bool
    secret_lost: SecretLoss | None


def create(vault: Vault, identity: Identity, new: NewJob) -> Job:
    """W. The erase key is durable first, so that nothing of the job is ever kept readable without it. The same request
    again is answered the same way.
    """
    check_name(new.name, "name of the job")
    check_definition(new.definition)
    with vault.catalog.read() as view:
        asked = check_new(vault, view, identity, new, SECRET_PURPOSE_KEYRING)
        if asked.known is not None:
            return asked.known
        audit = audited(vault, view, identity, "job.create", f"{new.computer}/{new.name}")
    ledger.record(vault, [*job_changes(vault, asked.job, new.secret), *audit])
    return asked.job


def check_new(vault: Vault, view: View, identity: Identity, new: NewJob, purpose: int) -> AskedJob:
    """The definition was checked before."""
    computer = named_computer(view, identity, new.computer)
    if computer.removed_ns:
        hint = "register it anew under another name, and create the job there"
        raise Conflict(f"computer {computer.name!r} was removed", hint)
    job = _row(new, computer, vault.clock.now_ns())
    check_signature(job)
    check_secret(new.secret, job, computer, purpose)
    if known := _same_job(vault, view, job, new.secret):
        return AskedJob(job, known)
    _refuse_taken(view, computer, new.name)
    check_beside(_definitions_beside(view, computer, new.name), new.definition, computer.name)
    require_type(view, computer.account_id, new.definition.retention)
    if new.job_id == NO_ID or is_owned(view, new.job_id):
        raise Conflict(f"job_id {new.job_id.hex()} cannot be used", "draw a new random id")
    return AskedJob(job, None)


def job_changes(vault: Vault, job: Job, secret: bytes) -> list[Change]:
    """The erase key is durable when this returns."""
    owner = job_owner(job.job_id)
    create_erase_key(vault, owner)
    return [*save_job(job), *save_secret(job, wrap(vault, owner, JOB_SECRET, job.job_id, secret))]


def _refuse_taken(view: View, computer: Computer, name: str) -> None:
    """A removed job keeps its name as long as somebody may restore by it."""
    known = find_job(view, computer.account_id, computer.computer_id, name)
    if known is None or (known.removed_ns and not known.safesets):
        return
    if known.removed_ns:
        sentence = f"job {name!r} was removed from computer {computer.name!r}, and its safesets keep the name"
    else:
        sentence = f"job {name!r} exists already on computer {computer.name!r}"
    raise Conflict(sentence, "choose another name")


def _definitions_beside(view: View, computer: Computer, name: str) -> list[JobDefinition]:
    """Of all jobs but the one whose name is taken."""
    jobs = list_computer_jobs(view, computer.account_id, computer.computer_id)
    return [job.definition for job in jobs if name_key(job.name) != name_key(name)]


def _row(new: NewJob, computer: Computer, now_ns: int) -> Job:
    return Job(
        job_id=new.job_id,
        account_id=computer.account_id,
        computer_id=computer.computer_id,
        name=new.name,
        definition=new.definition,
        revision=new.revision,
        creator_key=new.creator_key,
        signature=new.signature,
        created_ns=now_ns,
    )


def list_all(vault: Vault, identity: Identity, computer: str) -> list[JobSummary]:
    with vault.catalog.read() as view:
        row = named_computer(view, identity, computer)
        return [summarise_job(view, job) for job in list_computer_jobs(view, row.account_id, row.computer_id)]


def show(vault: Vault, identity: Identity, computer: str, name: str) -> JobDetails:
    """With its newest runs, newest first."""
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        newest = zip(range(RUNS_SHOWN), list_runs_back(view, job.account_id, job.job_id), strict=False)
        return JobDetails(summarise_job(view, job), [summarise_run(view, job, run) for _, run in newest])


def request_run(vault: Vault, identity: Identity, computer: str, name: str) -> Asked:
    """W. One request that still waits is answered again and not doubled."""
    with vault.catalog.read() as view:
        job = working_job(view, named_job(view, named_computer(view, identity, computer), name))
        audit = audited(vault, view, identity, "job.run", f"{computer}/{name}")
    if job.request > job.requests_taken:
        return Asked(job.request, job.computer_id, job.job_id)
    asked = msgspec.structs.replace(job, request=job.request + 1)
    ledger.record(vault, [*update_job(asked), *audit])
    return Asked(asked.request, job.computer_id, job.job_id)


def request_state(vault: Vault, identity: Identity, computer: str, name: str, request: int) -> RequestState:
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        if not 1 <= request <= job.request:
            raise NotFound(f"request {request} of job {name!r} does not exist")
        run = requested_run(view, job.account_id, job.job_id, request)
        if run is None:
            working_job(view, job)  # else somebody would wait for ever
        summary = None if run is None else summarise_run(view, job, run)
    if run is None:
        return RequestState("waiting" if request > job.requests_taken else "aborted", job.job_id, None)
    if run.outcome is Outcome.RUNNING:
        return RequestState("running", job.job_id, summary)
    ended_well = run.outcome in (Outcome.DONE, Outcome.WARNINGS)
    return RequestState("done" if ended_well else "failed", job.job_id, summary)


def list_for_agent(vault: Vault, identity: Identity) -> list[AgentJob]:
    with vault.catalog.read() as view:
        computer = own_computer(view, identity)
        jobs = list_computer_jobs(view, computer.account_id, computer.computer_id)
        return [_for_agent(vault, view, job) for job in jobs if not job.removed_ns]


def _for_agent(vault: Vault, view: View, job: Job) -> AgentJob:
    secret, secret_lost = _secret_for_agent(vault, view, job)
    return AgentJob(
        job_id=job.job_id,
        name=job.name,
        definition=job.definition,
        revision=job.revision,
        creator_key=job.creator_key,
        signature=job.signature,
        secret=secret,
        keyring_id=None if job.keyring_id == NO_ID else job.keyring_id,
        head_sequence=job.head_sequence,
        head_hash=job.head_hash,
        timeline=job.timeline,
        run_requested=job.request > job.requests_taken,
        secret_lost=secret_lost,
    )


def _secret_for_agent(vault: Vault, view: View, job: Job) -> tuple[bytes | None, SecretLoss | None]:
    """One that cannot be given costs its own job only."""
    wrapped = read_secret(view, job)
    if wrapped is None:
        return None, None
    try:
        return _unwrap_secret(vault, job, wrapped), None
    except Damaged:
        return None, "unavailable" if vault.store.disks.is_any_away else "damaged"
    except (Unavailable, Conflict):
        return None, "unavailable"


def _same_job(vault: Vault, view: View, asked: Job, secret: bytes) -> Job | None:
    """The job that an earlier copy of this request made, as long as its secret is here to compare with."""
    known = read_job(view, asked.account_id, asked.job_id)
    wrapped = read_secret(view, known) if known else None
    if known is None or wrapped is None:
        return None
    # The signature covers computer, name, definition and revision.
    if (known.creator_key, known.signature) != (asked.creator_key, asked.signature):
        return None
    kept = _unwrap_secret(vault, known, wrapped)
    return known if parse_secret(kept).message_id == parse_secret(secret).message_id else None


def _unwrap_secret(vault: Vault, job: Job, wrapped: bytes) -> bytes:
    return unwrap(vault, [job_owner(job.job_id)], JOB_SECRET, job.job_id, wrapped)


def check_secret(secret: bytes, job: Job, computer: Computer, purpose: int) -> None:
    """A secret for another agent would be useless here and must not be kept."""
    header = parse_secret(secret)
    if header.purpose != purpose:
        raise BadRequest(f"secret: purpose {header.purpose} is not the one that is needed here ({purpose})")
    bound = {
        "account": (header.account_id, computer.account_id),
        "computer": (header.computer_id, computer.computer_id),
        "job": (header.job_id, job.job_id),
        "agent_key": (header.agent_key, agent_key_fingerprint(computer.tls_key, computer.sealing_key)),
        "creator_key": (header.creator_key, job.creator_key),
    }
    for name, (said, expected) in bound.items():
        if said != expected:
            raise BadRequest(f"secret: {name} {said.hex()} is not the one of this job and computer")
