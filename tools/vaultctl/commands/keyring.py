"""`vaultctl keyring`: the password that opens a job's safesets."""

from dataclasses import dataclass
from functools import partial

import click

from protocol import messages as m
from tools.client import calls
from tools.client.code_file import read_recovery_code
from tools.client.failure import Failure, describe
from tools.client.held_keyring import HeldKeyring, Secret, hold_keyring
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_new_password, read_password
from tools.client.program import Group
from tools.client.slot import KIND_PASSWORD, create_password_slot
from tools.client.terminal_text import escape_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.sending import Sending


@click.group("keyring", cls=Group)
def command() -> None:
    """Keyrings: what opens the safesets of jobs (administrator)."""


@dataclass(frozen=True, slots=True)
class _Options:
    password_file: str | None
    password_command: str | None
    recovery_code_file: str | None
    new_password_file: str | None
    new_password_command: str | None


@command.command("password")
@click.argument("computer")
@click.argument("job")
@click.option("--password-file", metavar="FILE", help="The password as it is now; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the password as it is now.")
@click.option("--recovery-code-file", metavar="FILE", help="The recovery code, where the password is lost.")
@click.option("--new-password-file", metavar="FILE", help="The new password; - is standard input.")
@click.option("--new-password-command", metavar="COMMAND", help="A program that prints the new password.")
@click.pass_context
def password(ctx: click.Context, computer: str, job: str, **words: str | None) -> None:
    """Changes the password of JOB; nothing is uploaded, and the old one opens nothing any more.

    The recovery code stays good. Whoever opened the job with the old password before may have kept its keys.
    """
    output, options = output_of(ctx), _Options(**words)
    secret, new_password = _secrets(options, job)
    held = ask_vault(ctx, partial(hold_keyring, computer=computer, job=job, secret=secret))
    new = create_password_slot(held.keyring, new_password)
    change = m.SlotChange(
        held.keyring.keyring_id, held.slot_id, held.proof, [m.SlotUpload(new.slot, new.proof_hash)],
        held.slot_ids(KIND_PASSWORD),
    )  # fmt: skip
    sending = Sending()
    try:
        sending.send(ctx, partial(calls.change_slots, request=m.KeyringSlotsRequest(computer, job, change)))
    except BaseException as error:
        if not sending.may_be_done(error):
            raise
        raise _unknown_end(output, error) from error
    jobs = [{"computer": one.computer, "job": one.job} for one in held.parameters.jobs]
    output.show(
        {"computer": computer, "job": job, "jobs": jobs, "generation": held.keyring.newest.number},
        lambda: _changed_text(computer, job, held),
    )


def _secrets(options: _Options, job: str) -> tuple[Secret, str]:
    """What opens the keyring, and the new password: all of it before anything is asked of the vault."""
    old = PasswordSource(options.password_file, options.password_command)
    new = PasswordSource(options.new_password_file, options.new_password_command)
    if "-" in (old.file, options.recovery_code_file) and new.file == "-":
        raise Failure("usage", "standard input cannot hold both secrets", "put one of them into a file")
    if options.recovery_code_file is None:
        secret: Secret = read_password(old, f"job {job}, as it is now")
    elif old.file is not None or old.command is not None:
        raise Failure("usage", "a password and a recovery code exclude each other", "give one of them")
    else:
        secret = read_recovery_code(options.recovery_code_file)
    return secret, read_new_password(new, f"job {job}, the new one")


def _unknown_end(output: Output, error: BaseException) -> Failure:
    output.note("the password may be changed: try the new one first, and the old one if that opens nothing")
    failure = describe(error)
    hint = "run this again, with whichever password is good: it completes what was begun"
    return Failure(failure.code, failure.message, failure.hint or hint, failure.details)


def _changed_text(computer: str, job: str, held: HeldKeyring) -> str:
    lines = [
        f"The password of job {escape_text(job)} of {escape_text(computer)} is changed; nothing was uploaded.",
        "The old one opens nothing any more. "
        + ("The recovery code stays good." if held.has_recovery_code else "There is no recovery code."),
    ]
    if len(held.parameters.jobs) > 1:
        lines.append("It is the password of all jobs of this keyring:")
        lines += [f"  {escape_text(one.computer)}/{escape_text(one.job)}" for one in held.parameters.jobs]
    return "\n".join(lines)
