"""`vaultctl keyring password`: another password for the keyring of a job, and with `--rotate` newer keys in it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from protocol import messages as m
from tools.client import calls
from tools.client.code_file import read_recovery_code
from tools.client.context import pin_agent_key
from tools.client.failure import Failure, describe
from tools.client.fingerprint import fingerprint_text
from tools.client.held_keyring import HeldKeyring, Secret, hold_keyring
from tools.client.named_path import NamedPath
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_new_password, read_password
from tools.client.program import Command
from tools.client.recovery_code import format_recovery_code, generate_recovery_code
from tools.client.tables import frame_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, size_text
from tools.vaultctl.agent_trust import Trust, check_trust
from tools.vaultctl.confirmation import confirm
from tools.vaultctl.confirmed_agent import ConfirmedAgent, confirm_agent
from tools.vaultctl.identity import ask_vault, context_file, context_of, output_of
from tools.vaultctl.keyring_change import password_change, rotation
from tools.vaultctl.recovery_sheet import RecoverySheet, check_sheet, write_sheet, written_note
from tools.vaultctl.sending import Sending


@dataclass(frozen=True, slots=True)
class Options:
    password_file: str | None
    password_command: str | None
    recovery_code_file: str | None
    new_password_file: str | None
    new_password_command: str | None
    rotate: bool
    new_ids: bool
    no_recovery_code: bool
    recovery_sheet: Path | None
    agent_key: str | None
    trust_agent_key: bool
    yes: bool

    @property
    def old(self) -> PasswordSource:
        return PasswordSource(self.password_file, self.password_command)

    @property
    def new(self) -> PasswordSource:
        return PasswordSource(self.new_password_file, self.new_password_command, "--new-password")

    @property
    def trust(self) -> Trust:
        return Trust(expected=self.agent_key, first_use=self.trust_agent_key)


@dataclass(frozen=True, slots=True)
class _Secrets:
    """`opens` is the present password, or the code; `code` is the one that was given."""

    opens: Secret
    password: str
    code: bytes | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked of the vault; `new_code` is shown once it is done, `code` is the one that is good then."""

    change: m.SlotChange
    agents: Sequence[ConfirmedAgent] = ()
    new_code: str | None = None
    code: str | None = None


@click.command("password", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--password-file", metavar="FILE", help="The password as it is now; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the password as it is now.")
@click.option("--recovery-code-file", metavar="FILE", help="The recovery code, in place of a password that is lost.")
@click.option("--new-password-file", metavar="FILE", help="The new password; - is standard input.")
@click.option("--new-password-command", metavar="COMMAND", help="A program that prints the new password.")
@click.option("--rotate", is_flag=True, help="Also new keys: future runs are closed to whoever had the ones before.")
@click.option("--new-ids", is_flag=True, help="With --rotate: all content is uploaded again, under other ids.")
@click.option("--no-recovery-code", is_flag=True, help="With --rotate: only the password opens the keyring then.")
@click.option(
    "--recovery-sheet", type=NamedPath(), metavar="FILE", help="Also write the code as a page to print; .html or text."
)
@click.option("--agent-key", metavar="FINGERPRINT", help="With --rotate: what `vault-agent status` shows there.")
@click.option("--trust-agent-key", is_flag=True, help="With --rotate: take the keys that the vault says.")
@click.option("--yes", is_flag=True, help="With --new-ids: do not ask.")
@click.pass_context
def password(ctx: click.Context, computer: str, job: str, **words: object) -> None:
    """Changes the password of JOB; nothing is uploaded, and the old one opens nothing any more.

    The recovery code stays good. Whoever opened the job before may have kept its keys: --rotate makes new ones for all
    runs from now on. Then give the recovery code as well, or a new one is shown and the old one is dropped. Without a
    new password --rotate keeps the one that there is.
    """
    options = Options(**words)  # type: ignore[arg-type]
    _check(options)
    output, secrets = output_of(ctx), _read(options, job)
    held = ask_vault(ctx, partial(hold_keyring, computer=computer, job=job, secret=secrets.opens))
    plan = _rotation(ctx, held, secrets, options) if options.rotate else _Plan(password_change(held, secrets.password))
    sending = Sending()
    try:
        sending.send(ctx, partial(calls.change_slots, request=m.KeyringSlotsRequest(computer, job, plan.change)))
        for agent in plan.agents:
            pin_agent_key(context_file(ctx), agent.computer, fingerprint_text(agent.recipient.fingerprint))
        if options.recovery_sheet is not None and plan.code is not None:
            context, jobs = context_of(ctx), [(one.computer, one.job) for one in held.parameters.jobs]
            write_sheet(options.recovery_sheet, RecoverySheet(context.url, context.account or "", jobs, plan.code))
            output.note(written_note(options.recovery_sheet))
        output.show(_document(computer, job, held, plan), lambda: _text(computer, job, held, plan))
    except BaseException as error:
        if not sending.may_be_done(error):
            raise
        raise _unknown_end(output, error, plan) from error


def _check(options: Options) -> None:
    """What can be refused before anything is asked."""
    only_rotating = ("new_ids", "no_recovery_code", "recovery_sheet", "agent_key", "trust_agent_key")
    given = [name for name in only_rotating if getattr(options, name)]
    if given and not options.rotate:
        raise Failure("usage", f"--{given[0].replace('_', '-')} goes with --rotate only", "see --help")
    check_trust(options.trust)
    if options.recovery_sheet is not None:
        if options.no_recovery_code:
            raise Failure("usage", "there is no code for a --recovery-sheet with --no-recovery-code", "leave one out")
        check_sheet(options.recovery_sheet)
    if options.no_recovery_code and options.recovery_code_file is not None and options.old != PasswordSource():
        raise Failure("usage", "a recovery code that is to be dropped is not needed", "leave one of both out")
    if [options.password_file, options.recovery_code_file, options.new_password_file].count("-") > 1:
        raise Failure("usage", "standard input cannot hold two secrets", "put one of them into a file")


def _read(options: Options, job: str) -> _Secrets:
    """All of it before anything is asked of the vault."""
    code = None if options.recovery_code_file is None else read_recovery_code(options.recovery_code_file)
    has_old = options.old != PasswordSource()
    if code is not None and has_old and not options.rotate:
        raise Failure("usage", "a password and a recovery code exclude each other", "give one of them")
    purpose = f"job {job}, as it is now"
    old = read_password(options.old, purpose) if code is None or has_old else None
    stays = options.rotate and options.new == PasswordSource() and old is not None
    new = old if stays and old is not None else read_new_password(options.new, f"job {job}, the new one")
    opens: Secret = old if old is not None else code or b""
    return _Secrets(opens, new, code)


def _rotation(ctx: click.Context, held: HeldKeyring, secrets: _Secrets, options: Options) -> _Plan:
    computers = dict.fromkeys(one.computer for one in held.parameters.jobs)
    if not computers:
        hint = "without --rotate their password is changed"
        raise Failure("conflict", "every job of this keyring was removed, so no run would use new keys", hint)
    if len(computers) > 1 and options.agent_key is not None:
        raise Failure(
            "usage", f"the keyring is of jobs on {len(computers)} computers, and --agent-key names one key",
            "create a job on each first, which pins its key; or give --trust-agent-key",
        )  # fmt: skip
    if secrets.code is not None and secrets.opens != secrets.code:
        first = held.parameters.jobs[0]
        ask_vault(ctx, partial(hold_keyring, computer=first.computer, job=first.job, secret=secrets.code))
    agents = {name: confirm_agent(ctx, name, options.trust) for name in computers}
    if options.new_ids:
        _confirm_upload(output_of(ctx), held, is_agreed=options.yes)
    code = None if options.no_recovery_code else secrets.code or generate_recovery_code()
    code_text = None if code is None else format_recovery_code(code)
    new_code = None if code == secrets.code else code_text
    by_job = {one.job_id: agents[one.computer] for one in held.parameters.jobs}
    change = rotation(held, secrets.password, code, by_job, new_ids=options.new_ids)
    return _Plan(change, list(agents.values()), new_code, code_text)


def _confirm_upload(output: Output, held: HeldKeyring, *, is_agreed: bool) -> None:
    total = sum(one.protected_bytes for one in held.parameters.jobs)
    what = f"{count_text(total)} bytes ({size_text(total)}) will be read and uploaded again by the next runs"
    output.note(f"note: {what}; what is stored now stays until its safesets are gone")
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise Failure("usage", "nothing was changed: nobody can be asked here", f"{what}; give --yes if you want that")
    confirm("Make new ids?", "nothing was changed")


def _unknown_end(output: Output, error: BaseException, plan: _Plan) -> Failure:
    """Says the new recovery code, which would be lost with the answer."""
    output.note("the password may be changed: try the new one first, and the old one if that opens nothing")
    if plan.new_code is not None:
        output.note(f"if it is, the recovery code is {plan.new_code}")
    failure = describe(error)
    hint = failure.hint or "run this again, with whichever password is good: it completes what was begun"
    details = {**failure.details, "recovery_code": plan.new_code} if plan.new_code else failure.details
    return Failure(failure.code, failure.message, hint, details)


def _document(computer: str, job: str, held: HeldKeyring, plan: _Plan) -> dict[str, object]:
    rotated = plan.change.rotation
    return {
        "computer": computer,
        "job": job,
        "jobs": [{"computer": one.computer, "job": one.job} for one in held.parameters.jobs],
        "generation": held.keyring.newest.number if rotated is None else rotated.generation,
        "recovery_code": plan.new_code,
    }


def _text(computer: str, job: str, held: HeldKeyring, plan: _Plan) -> str:
    rotated, name = plan.change.rotation, f"job {escape_text(job)} of {escape_text(computer)}"
    if rotated is None:
        lines = [f"The password of {name} is changed; nothing was uploaded. The old one opens nothing any more."]
        lines.append("The recovery code stays good." if held.has_recovery_code else "There is no recovery code.")
    else:
        lines = [f"The keys of {name} are of generation {rotated.generation} from its next run on; slots from before"]
        lines.append(f"open nothing any more. {_code_text(plan)}")
    if len(held.parameters.jobs) > 1:
        lines.append("That is so for all jobs of this keyring:")
        lines += [f"  {escape_text(one.computer)}/{escape_text(one.job)}" for one in held.parameters.jobs]
    if plan.new_code is None:
        return "\n".join(lines)
    shown = [plan.new_code, "", "Write it down and keep it away from this computer. It is shown this once."]
    return "\n".join(lines) + "\n\n" + frame_text("Recovery code", shown)


def _code_text(plan: _Plan) -> str:
    if plan.new_code is not None:
        return "An earlier recovery code is not good any more; this is the new one:"
    return "The recovery code stays good." if len(plan.change.slots) > 1 else "There is no recovery code any more."
