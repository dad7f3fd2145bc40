"""`vault-agent status`: who this agent is, the key that people compare, and its jobs."""

from dataclasses import dataclass
from functools import partial

import click

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import AgentJob, AgentJobsAnswer, AgentJobsRequest
from tools.agent.commands.context import output_of, state_of
from tools.agent.keys.job_keys import are_keys_elsewhere
from tools.agent.keys.job_trust import check_signature
from tools.agent.local.hand_over import is_up
from tools.agent.local_settings import MIB, LocalSettings, load_local_settings
from tools.agent.state import Identity, StateDirectory
from tools.agent.vault.connection import ask_vault
from tools.client.calls import list_safesets
from tools.client.failure import EXIT_OK, Failure, describe
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.tables import Column, fields_text, table_text

_COLUMNS = (Column("JOB"), Column("NEWEST SAFESET", right=True), Column("STATE"))

ADOPT_STEPS = (
    "A job that says `adopt first` was backed up by the agent that this one replaces. For each of them:\n"
    "  vault-agent restore JOB --target DIR   (what is to come back)\n"
    "  vault-agent adopt JOB\n"
    "  vault-agent backup JOB"
)

Jobs = list[tuple[AgentJob, int]]
"""With the number of the newest safeset of each."""


@dataclass(frozen=True, slots=True)
class Local:
    state: StateDirectory
    settings: LocalSettings
    has_service: bool

    def is_to_adopt(self, job: AgentJob) -> bool:
        """The key is shown with a damaged state too; a backup says what is wrong with it."""
        try:
            return are_keys_elsewhere(self.state, job)
        except Failure:
            return False


@click.command("status", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> int:
    """Shows this agent's key fingerprint, its vault, and its jobs there.

    The key is shown even when the vault cannot be reached; the exit code says then why the jobs are not.
    """
    state = state_of(ctx)
    identity = state.load_identity()
    jobs: Jobs | None = None
    failure: Failure | None = None
    try:
        jobs = ask_vault(state, identity, partial(_jobs, computer=identity.computer))
    except Exception as error:
        failure = describe(error)
    output, local = output_of(ctx), Local(state, load_local_settings(state.path), is_up(state.path))
    output.show(_document(identity, local, jobs), lambda: _text(identity, local, jobs))
    if failure is None:
        return EXIT_OK
    output.note(f"error: {failure.message}", *([f"hint: {failure.hint}"] if failure.hint else []))
    return failure.exit_code


async def _jobs(session: VaultSession, computer: str) -> Jobs:
    answer, _ = await session.ask("agent.jobs", AgentJobsRequest(), AgentJobsAnswer)
    return [(job, await _newest(session, computer, job)) for job in answer.jobs]


async def _newest(session: VaultSession, computer: str, job: AgentJob) -> int:
    """The newest complete one, a provisional one only while there is none: the head of the chain may be either. None
    of a job that was removed meanwhile.
    """
    if not job.head_sequence:
        return 0
    try:
        safesets = await list_safesets(session, computer, job.name)
    except RemoteProtocolError as error:
        if error.code is not ErrorCode.not_found:
            raise
        return 0
    complete = [safeset.number for safeset in safesets if safeset.complete]
    return max(complete or [safeset.number for safeset in safesets], default=0)


def _document(identity: Identity, local: Local, jobs: Jobs | None) -> dict[str, object]:
    return {
        "computer": identity.computer,
        "kind": identity.kind,
        "agent_key": identity.agent_key,
        "creator": identity.creator,
        "url": identity.url,
        "vault_id": identity.vault_id,
        "account_id": identity.account_id,
        "service": local.has_service,
        "memory_limit_bytes": local.settings.memory_limit_bytes,
        "jobs": None if jobs is None else [_job_document(identity, local, job, newest) for job, newest in jobs],
    }


def _job_document(identity: Identity, local: Local, job: AgentJob, newest: int) -> dict[str, object]:
    return {
        "job": job.name,
        "keyring_ready": job.keyring_id is not None,
        "adopt_first": local.is_to_adopt(job),
        "safeset": newest,
        "run_requested": job.run_requested,
        "signed": _is_signed(identity, job),
        "secret_lost": job.secret_lost,
    }


def _text(identity: Identity, local: Local, jobs: Jobs | None) -> str:
    fields = fields_text([
        ("computer", identity.computer), ("key of this agent", identity.agent_key),
        ("takes jobs signed with", identity.creator), ("vault", identity.url),
        ("service", "up" if local.has_service else "not up"),
        ("memory limit", _size_text(local.settings.memory_limit_bytes)),
    ])  # fmt: skip
    if jobs is None:
        return fields
    rows = [(job.name, str(newest or "-"), _state(identity, local, job)) for job, newest in jobs]
    table = table_text(_COLUMNS, rows, "This computer has no job yet.")
    is_any_to_adopt = any(local.is_to_adopt(job) for job, _ in jobs)
    return "\n\n".join([fields, table, *([ADOPT_STEPS] if is_any_to_adopt else [])])


def _size_text(limit_bytes: int | None) -> str:
    return "none" if limit_bytes is None else f"{limit_bytes // MIB} MiB"


def _state(identity: Identity, local: Local, job: AgentJob) -> str:
    if not _is_signed(identity, job):
        return "will not run: not as this agent's creator signed it"
    if job.secret_lost is not None:
        return f"what was sealed for it is {job.secret_lost} at the vault"
    if local.is_to_adopt(job):
        return "adopt first"
    if job.run_requested:
        return "a run is asked for"
    return "ready" if job.keyring_id is not None else "waits for its first backup"


def _is_signed(identity: Identity, job: AgentJob) -> bool:
    try:
        check_signature(identity, job)
    except Failure:
        return False
    return True
