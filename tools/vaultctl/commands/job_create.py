"""`vaultctl job create`: defines a job and sends its agent the password, sealed so that only that agent can read it."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from protocol.messages.job import JobCreateRequest, JobDefinition
from tools.client import calls
from tools.client.agent_key import fingerprint_text
from tools.client.context import pin_agent_key
from tools.client.failure import Failure, describe
from tools.client.job_definition import FIRST_REVISION, JobAddress, RevisedJob, sign_definition
from tools.client.job_options import encode_options
from tools.client.job_secret import JobSecret, seal_job_secret
from tools.client.named_path import NamedPath
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_new_password
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
from tools.vaultctl.identity import context_file, context_of, output_of
from tools.vaultctl.recovery_sheet import RecoverySheet, check_sheet, write_sheet, written_note
from tools.vaultctl.sending import Sending

_ID_BYTES = 16
EXCLUDE_HELP = (
    "What to leave out, as in a .gitignore file at the computer's /: `*.tmp` and `cache/` anywhere, `/home/*/tmp` from"
    " the root, `!` takes back in; repeatable."
)


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
@click.option("--password-file", metavar="FILE", help="The job password; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--agent-key", metavar="FINGERPRINT", help="What `vault-agent status` shows on the computer.")
@click.option("--trust-agent-key", is_flag=True, help="Take the key that the vault says, this first time.")
@click.option("--no-recovery-code", is_flag=True, help="Only the password will open the job's safesets.")
@click.option(
    "--recovery-sheet", type=NamedPath(), metavar="FILE", help="Also write the code as a page to print; .html or text."
)
@click.pass_context
def create(ctx: click.Context, computer: str, job: str, **options: Any) -> None:
    """Defines a job; it begins with the agent's next `backup`.

    The password is sealed for the agent on this machine; no server can read it and nobody can recover it.
    """
    trust = Trust(expected=options["agent_key"], first_use=options["trust_agent_key"])
    check_trust(trust)
    sheet: Path | None = options["recovery_sheet"]
    if sheet is not None:
        if options["no_recovery_code"]:
            raise Failure("usage", "there is no code for a --recovery-sheet with --no-recovery-code", "leave one out")
        check_sheet(sheet)
    definition = _definition(options)
    output, sending = output_of(ctx), Sending()
    for pattern in only_at_the_root(definition.exclude):
        output.note(f"note: --exclude {pattern} means /{pattern} only; **/{pattern} is at any depth")
    agent = confirm_agent(ctx, computer, trust)
    source = PasswordSource(options["password_file"], options["password_command"])
    password = read_new_password(source, f"job {job}")
    code = None if options["no_recovery_code"] else generate_recovery_code()
    request = _request(agent, job, definition, JobSecret(password, code))
    code_text = None if code is None else format_recovery_code(code)
    try:
        sending.send(ctx, partial(calls.create_job, request=request))
        pin_agent_key(context_file(ctx), computer, fingerprint_text(agent.recipient.fingerprint))
        if sheet is not None and code_text is not None:
            context = context_of(ctx)
            write_sheet(sheet, RecoverySheet(context.url, context.account or "", [(computer, job)], code_text))
            output.note(written_note(sheet))
        output.show(
            {"job": job, "recovery_code": code_text, "job_id": request.job_id.hex()},
            lambda: _created_text(computer, job, code_text),
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


def _request(agent: ConfirmedAgent, job: str, definition: JobDefinition, secret: JobSecret) -> JobCreateRequest:
    job_id = os.urandom(_ID_BYTES)
    address, creator = JobAddress(agent.account_id, agent.computer_id, job_id), agent.creator
    sealed = seal_job_secret(secret, address, agent.recipient, creator)
    signature = sign_definition(RevisedJob(address, FIRST_REVISION, job, definition), creator)
    return JobCreateRequest(
        job_id, agent.computer, job, definition, FIRST_REVISION, creator.public_key, signature, sealed
    )


def _unknown_end(output: Output, error: BaseException, code_text: str | None) -> Failure:
    """Says the recovery code, which would be lost with the answer."""
    code = "it has no recovery code" if code_text is None else f"its recovery code is {code_text}"
    output.note(f"the job may exist; {code}")
    failure = describe(error)
    return Failure(failure.code, failure.message, failure.hint, {**failure.details, "recovery_code": code_text})


def _created_text(computer: str, job: str, code_text: str | None) -> str:
    created = f"Job {escape_text(job)} of {escape_text(computer)} is created; it begins with the agent's next `backup`."
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
