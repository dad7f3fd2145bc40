"""`vaultctl job create`: defines a job and sends its agent the password, sealed so that only that agent can read it."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.messages.job import JobCreateAnswer, JobCreateRequest, JobDefinition
from tools.client import calls
from tools.client.agent_key import fingerprint_text
from tools.client.context import Context, pin_agent_key
from tools.client.creator_key import CreatorKey
from tools.client.failure import Failure, describe, first_cause
from tools.client.job_definition import FIRST_REVISION, JobAddress, RevisedJob, sign_definition
from tools.client.job_options import encode_options
from tools.client.job_secret import JobSecret, Recipient, seal_job_secret
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_new_password
from tools.client.program import Command
from tools.client.recovery_code import format_recovery_code, generate_recovery_code
from tools.client.session import VaultSession
from tools.client.signing_file import load_creator_key, signing_file
from tools.client.tables import frame_text
from tools.client.terminal_text import escape_text
from tools.vaultctl.agent_trust import AgentKeys, Trust, check_trust, trusted_fingerprint
from tools.vaultctl.definition import (
    COMPRESSION_DEFAULT,
    SUITES,
    checked_schedule,
    exclude_patterns,
    included_paths,
    only_at_the_root,
)
from tools.vaultctl.identity import ask_vault, context_file, context_of, output_of

_ID_BYTES = 16
_SEND_AGAIN = 2
# With these the vault says that it did nothing; after the others, or with no answer, nobody knows.
_REFUSALS = frozenset({
    ErrorCode.bad_request, ErrorCode.unknown_method, ErrorCode.unsupported_version, ErrorCode.not_signed_in,
    ErrorCode.not_allowed, ErrorCode.not_found, ErrorCode.conflict, ErrorCode.too_large, ErrorCode.throttled,
})  # fmt: skip


EXCLUDE_HELP = (
    "What to leave out, as in a .gitignore file at the computer's /: `*.tmp` and `cache/` anywhere, `/home/*/tmp` from"
    " the root, `!` takes back in; repeatable."
)


@dataclass(frozen=True, slots=True)
class _Agent:
    """The agent that a job is for, its key confirmed, and the key that it knows its creator by."""

    computer: str
    account_id: bytes
    computer_id: bytes
    recipient: Recipient
    creator: CreatorKey


@dataclass(slots=True)
class _Sending:
    """How often the request went out: once it did, the job may exist whatever comes back."""

    count: int = 0


@click.command("create", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--include", "includes", multiple=True, required=True, metavar="PATH", help="Absolute path; repeatable.")
@click.option("--exclude", "excludes", multiple=True, metavar="PATTERN", help=EXCLUDE_HELP)
@click.option("--one-file-system", is_flag=True, help="Do not cross into other file systems.")
@click.option("--exclude-caches", is_flag=True, help="Leave out what is in directories with a CACHEDIR.TAG.")
@click.option("--schedule", default="", metavar="CRON", help="Five cron fields; stored, starts no run yet.")
@click.option("--retention", default="", metavar="NAME", help="Retention type; stored, nothing expires yet.")
@click.option("--cipher", type=click.Choice(list(SUITES)), default=next(iter(SUITES)), show_default=True)
@click.option("--compression", type=click.IntRange(0, 9), default=COMPRESSION_DEFAULT, show_default=True)
@click.option("--both-sites", is_flag=True, help="Wait for the second site; stored, there is none yet.")
@click.option("--password-file", metavar="FILE", help="The job password, at least 8 characters; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--agent-key", metavar="FINGERPRINT", help="What `vault-agent status` shows on the computer.")
@click.option("--trust-agent-key", is_flag=True, help="Take the key that the vault says, this first time.")
@click.option("--no-recovery-code", is_flag=True, help="Only the password will open the job's safesets.")
@click.pass_context
def create(ctx: click.Context, computer: str, job: str, **options: Any) -> None:
    """Defines a job; it begins with `job run` or the agent's next `backup`.

    The password is sealed for the agent on this machine; no server can read it and nobody can recover it.
    """
    trust = Trust(expected=options["agent_key"], first_use=options["trust_agent_key"])
    check_trust(trust)
    definition = _definition(options)
    output, sending = output_of(ctx), _Sending()
    for pattern in only_at_the_root(definition.exclude):
        output.note(f"note: --exclude {pattern} means /{pattern} only; **/{pattern} is at any depth")
    agent = _confirmed_agent(ctx, computer, trust)
    source = PasswordSource(options["password_file"], options["password_command"])
    password = read_new_password(source, f"job {job}")
    code = None if options["no_recovery_code"] else generate_recovery_code()
    request = _request(agent, job, definition, JobSecret(password, code))
    code_text = None if code is None else format_recovery_code(code)
    try:
        _send(ctx, request, sending)
        pin_agent_key(context_file(ctx), computer, fingerprint_text(agent.recipient.fingerprint))
        output.show(
            {"job": job, "recovery_code": code_text, "job_id": request.job_id.hex()},
            lambda: _created_text(computer, job, code_text),
        )
    except BaseException as error:
        if sending.count == 0 or (sending.count == 1 and _is_refused(error)):
            raise
        raise _unknown_end(output, error, code_text) from error


def _definition(options: dict[str, Any]) -> JobDefinition:
    return JobDefinition(
        include=included_paths(options["includes"]),
        exclude=exclude_patterns(options["excludes"]),
        one_file_system=options["one_file_system"],
        schedule=checked_schedule(options["schedule"]),
        retention=options["retention"],
        suite=SUITES[options["cipher"]],
        compression=options["compression"],
        both_sites=options["both_sites"],
        options=encode_options(exclude_caches=options["exclude_caches"]),
    )


def _confirmed_agent(ctx: click.Context, computer: str, trust: Trust) -> _Agent:
    path, context = context_file(ctx), context_of(ctx)
    account_id, creator = _account_id(path, context), _creator_key(path)
    answer = ask_vault(ctx, partial(calls.show_computer, computer=computer))
    keys = AgentKeys(computer=computer, tls_key=answer.tls_key, sealing_key=answer.sealing_key)
    fingerprint = trusted_fingerprint(keys, trust, path, context)
    recipient = Recipient(answer.sealing_key, fingerprint)
    return _Agent(computer, account_id, answer.computer.computer_id, recipient, creator)


def _account_id(path: Path, context: Context) -> bytes:
    if context.account_id is None:
        raise Failure(
            "not_allowed",
            f"context file {path} is not an administrator's: it names no account",
            "use the context that `vaultctl account create` wrote",
        )
    return bytes.fromhex(context.account_id)


def _creator_key(context_file: Path) -> CreatorKey:
    """Not made here: an agent takes the jobs of the key in its invite code, and no code has one made now."""
    creator = load_creator_key(context_file)
    if creator is None:
        raise Failure(
            "not_allowed",
            f"there is no {signing_file(context_file)}: no computer was invited with this context, so no agent takes"
            " its jobs",
            "use the context that invited the computer, with its signing key beside it; or `vaultctl computer invite`"
            " and register the agent anew",
        )
    return creator


def _request(agent: _Agent, job: str, definition: JobDefinition, secret: JobSecret) -> JobCreateRequest:
    job_id = os.urandom(_ID_BYTES)
    address, creator = JobAddress(agent.account_id, agent.computer_id, job_id), agent.creator
    sealed = seal_job_secret(secret, address, agent.recipient, creator)
    signature = sign_definition(RevisedJob(address, FIRST_REVISION, job, definition), creator)
    return JobCreateRequest(
        job_id, agent.computer, job, definition, FIRST_REVISION, creator.public_key, signature, sealed
    )


def _send(ctx: click.Context, request: JobCreateRequest, sending: _Sending) -> None:
    """A lost answer is asked for again: the same request twice makes one job, and its code is still to be shown."""

    async def create_job(session: VaultSession) -> JobCreateAnswer:
        sending.count += 1
        return await calls.create_job(session, request)

    for _ in range(_SEND_AGAIN):
        try:
            ask_vault(ctx, create_job)
            return
        except ConnectionLost:
            continue
    ask_vault(ctx, create_job)


def _is_refused(error: BaseException) -> bool:
    cause = first_cause(error)
    return (
        isinstance(cause, RemoteProtocolError)
        and not isinstance(cause, ConnectionLost)
        and cause.code in _REFUSALS
    )  # fmt: skip


def _unknown_end(output: Output, error: BaseException, code_text: str | None) -> Failure:
    """Says the recovery code, which would be lost with the answer."""
    code = "it has no recovery code" if code_text is None else f"its recovery code is {code_text}"
    output.note(f"the job may exist; {code}")
    failure = describe(error)
    return Failure(failure.code, failure.message, failure.hint, {**failure.details, "recovery_code": code_text})


def _created_text(computer: str, job: str, code_text: str | None) -> str:
    name = f"Job {escape_text(job)} of {escape_text(computer)}"
    created = f"{name} is created; it begins with `job run` or the agent's next `backup`."
    if code_text is None:
        return f"{created}\nThere is no recovery code: without the password nobody can restore this job."
    return f"{created}\n\n" + frame_text(
        "Recovery code",
        [
            code_text,
            "",
            "Write it down and keep it away from this computer. It opens the job's safesets",
            "where the password is lost. It is shown this once and stored by nobody.",
        ],
    )
