"""`vaultctl job create`: defines a job and sends its agent the password, sealed so that only that agent can read it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from protocol.messages.job import JobCreateRequest, JobDefinition
from tools.client import calls
from tools.client.code_file import read_recovery_code
from tools.client.context import pin_agent_key
from tools.client.failure import Failure, describe
from tools.client.fingerprint import fingerprint_text
from tools.client.held_keyring import hold_keyring
from tools.client.job_definition import FIRST_REVISION, JobAddress, RevisedJob, sign_definition
from tools.client.job_options import encode_options
from tools.client.job_secret import JobSecret, seal_job_secret
from tools.client.named_path import NamedPath
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_new_password, read_password
from tools.client.program import Command
from tools.client.recovery_code import format_recovery_code, generate_recovery_code
from tools.client.tables import frame_text
from tools.client.terminal_text import escape_text
from tools.vaultctl.agent_trust import Trust, check_trust
from tools.vaultctl.confirmed_agent import ConfirmedAgent, confirm_agent
from tools.vaultctl.definition import (
    COMPRESSION_DEFAULT,
    SUITES,
    checked_schedule,
    exclude_patterns,
    included_paths,
    only_at_the_root,
)
from tools.vaultctl.identity import ask_vault, context_file, context_of, output_of
from tools.vaultctl.recovery_sheet import RecoverySheet, check_sheet, write_sheet, written_note
from tools.vaultctl.sending import Sending
from tools.vaultctl.shared_keyring import Member, confirm_sharing, hold_shared, join_of, member_of

_ID_BYTES = 16
EXCLUDE_HELP = (
    "What to leave out, as in a .gitignore file at the computer's /: `*.tmp` and `cache/` anywhere, `/home/*/tmp` from"
    " the root, `!` takes back in; repeatable."
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A job in the keyring of another."""

    job: str
    definition: JobDefinition
    member: Member


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the vault is asked; the code that is good then, which its owner gave where it is known; and the jobs that it
    opens, as computer and job, the new one last.
    """

    request: JobCreateRequest
    code: str | None = field(repr=False)
    opened: Sequence[tuple[str, str]]
    is_known: bool = False


@click.command("create", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--include", "includes", multiple=True, required=True, metavar="PATH", help="Absolute path; repeatable.")
@click.option("--exclude", "excludes", multiple=True, metavar="PATTERN", help=EXCLUDE_HELP)
@click.option("--one-file-system", is_flag=True, help="Do not cross into other file systems.")
@click.option("--exclude-caches", is_flag=True, help="Leave out what is in directories with a CACHEDIR.TAG.")
@click.option("--schedule", default="", metavar="CRON", help="Five cron fields; stored, starts no run yet.")
@click.option("--retention", default="", metavar="NAME", help="Type, see `vaultctl retention list` [default: daily].")
@click.option("--cipher", type=click.Choice(list(SUITES)), default=next(iter(SUITES)), show_default=True)
@click.option("--compression", type=click.IntRange(0, 9), default=COMPRESSION_DEFAULT, show_default=True)
@click.option("--both-sites", is_flag=True, help="Wait for the second site; stored, there is none yet.")
@click.option("--keyring", metavar="[COMPUTER/]JOB", help="Share that job's keyring, and its password.")
@click.option("--recovery-code-file", metavar="FILE", help="With --keyring: its recovery code, which then stays.")
@click.option("--yes", is_flag=True, help="With --keyring: do not ask.")
@click.option("--password-file", metavar="FILE", help="The job password, at least 8 characters; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--agent-key", metavar="FINGERPRINT", help="What `vault-agent status` shows on the computer.")
@click.option("--trust-agent-key", is_flag=True, help="Take the key that the vault says, this first time.")
@click.option("--no-recovery-code", is_flag=True, help="Only the password will open the job's safesets.")
@click.option(
    "--recovery-sheet", type=NamedPath(), metavar="FILE", help="Also write the code as a page to print; .html or text."
)
@click.pass_context
def create(ctx: click.Context, computer: str, job: str, **options: Any) -> None:
    """Defines a job; it begins with `job run` or the agent's next `backup`.

    The password is sealed for the agent on this machine; no server can read it and nobody can recover it. With
    --keyring it is that of the other job, what both have is stored once, and their slots are made anew: without the
    recovery code a new one is shown and the old one is dropped.
    """
    trust = Trust(expected=options["agent_key"], first_use=options["trust_agent_key"])
    check_trust(trust)
    sheet = _checked_sheet(options)
    definition = _definition(options)
    output, sending = output_of(ctx), Sending()
    for pattern in only_at_the_root(definition.exclude):
        output.note(f"note: --exclude {pattern} means /{pattern} only; **/{pattern} is at any depth")
    member = _member(options, computer)
    if member is not None:
        confirm_sharing(output, is_agreed=options["yes"])
    agent = confirm_agent(ctx, computer, trust)
    asked = _own_keyring(agent, job, definition, options) if member is None else _shared_keyring(
        ctx, agent, _Wanted(job, definition, member), options
    )  # fmt: skip
    request, code_text = asked.request, asked.code
    try:
        sending.send(ctx, partial(calls.create_job, request=request))
        pin_agent_key(context_file(ctx), computer, fingerprint_text(agent.recipient.fingerprint))
        if sheet is not None and code_text is not None:
            context = context_of(ctx)
            write_sheet(sheet, RecoverySheet(context.url, context.account or "", asked.opened, code_text))
            output.note(written_note(sheet))
        shown = None if asked.is_known else code_text
        output.show(
            {"job": job, "recovery_code": shown, "job_id": request.job_id.hex()},
            lambda: _created_text(computer, job, asked),
        )
    except BaseException as error:
        if not sending.may_be_done(error):
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


def _checked_sheet(options: dict[str, Any]) -> Path | None:
    sheet: Path | None = options["recovery_sheet"]
    if sheet is not None:
        if options["no_recovery_code"]:
            raise Failure("usage", "there is no code for a --recovery-sheet with --no-recovery-code", "leave one out")
        check_sheet(sheet)
    return sheet


def _member(options: dict[str, Any], computer: str) -> Member | None:
    if options["keyring"] is not None:
        return member_of(options["keyring"], computer)
    for name in ("recovery_code_file", "yes"):
        if options[name]:
            raise Failure("usage", f"--{name.replace('_', '-')} goes with --keyring only", "see --help")
    return None


def _own_keyring(agent: ConfirmedAgent, job: str, definition: JobDefinition, options: dict[str, Any]) -> _Asked:
    """The agent makes the keyring, of what is sealed for it."""
    password = read_new_password(_source(options), f"job {job}")
    code = None if options["no_recovery_code"] else generate_recovery_code()
    job_id = os.urandom(_ID_BYTES)
    secret = seal_job_secret(JobSecret(password, code), _address(agent, job_id), agent.recipient, agent.creator)
    request = _request(agent, job, definition, job_id, secret)
    return _Asked(request, None if code is None else format_recovery_code(code), [(agent.computer, job)])


def _shared_keyring(ctx: click.Context, agent: ConfirmedAgent, wanted: _Wanted, options: dict[str, Any]) -> _Asked:
    """The keyring is there: it is opened here, and gets what the job signs with."""
    member, file = wanted.member, options["recovery_code_file"]
    given = None if file is None else read_recovery_code(file)
    password = read_password(_source(options), f"job {member.job}, whose keyring it is")
    held = hold_shared(ctx, member, password, wanted.definition)
    if given is not None:
        ask_vault(ctx, partial(hold_keyring, computer=member.computer, job=member.job, secret=given))
    code = None if options["no_recovery_code"] else given or generate_recovery_code()
    job_id = os.urandom(_ID_BYTES)
    join, secret = join_of(held, password, code, job_id, agent)
    request = _request(agent, wanted.job, wanted.definition, job_id, secret)
    opened = [(one.computer, one.job) for one in held.parameters.jobs] + [(agent.computer, wanted.job)]
    code_text = None if code is None else format_recovery_code(code)
    return _Asked(msgspec.structs.replace(request, keyring=join), code_text, opened, is_known=given is not None)


def _source(options: dict[str, Any]) -> PasswordSource:
    return PasswordSource(options["password_file"], options["password_command"])


def _address(agent: ConfirmedAgent, job_id: bytes) -> JobAddress:
    return JobAddress(agent.account_id, agent.computer_id, job_id)


def _request(
    agent: ConfirmedAgent, job: str, definition: JobDefinition, job_id: bytes, secret: bytes
) -> JobCreateRequest:
    signature = sign_definition(RevisedJob(_address(agent, job_id), FIRST_REVISION, job, definition), agent.creator)
    return JobCreateRequest(
        job_id, agent.computer, job, definition, FIRST_REVISION, agent.creator.public_key, signature, secret
    )


def _unknown_end(output: Output, error: BaseException, code_text: str | None) -> Failure:
    """Says the recovery code, which would be lost with the answer."""
    code = "it has no recovery code" if code_text is None else f"its recovery code is {code_text}"
    output.note(f"the job may exist; {code}")
    failure = describe(error)
    return Failure(failure.code, failure.message, failure.hint, {**failure.details, "recovery_code": code_text})


def _created_text(computer: str, job: str, asked: _Asked) -> str:
    name = f"Job {escape_text(job)} of {escape_text(computer)}"
    created = f"{name} is created; it begins with `job run` or the agent's next `backup`."
    others = asked.opened[:-1]
    if others:
        names = ", ".join(escape_text(f"{one[0]}/{one[1]}") for one in others)
        created += f"\nIt shares the keyring of {names}: one password, and one recovery code, open them all."
    if asked.code is None:
        return f"{created}\nThere is no recovery code: without the password nobody can restore this job."
    if asked.is_known:
        return f"{created}\nThe recovery code stays good."
    if others:
        created += "\nAn earlier recovery code is not good any more; this is the new one:"
    return f"{created}\n\n" + frame_text(
        "Recovery code",
        [
            asked.code,
            "",
            "Write it down and keep it away from this computer. It opens the job's safesets",
            "where the password is lost. It is shown this once and stored by nobody.",
        ],
    )
