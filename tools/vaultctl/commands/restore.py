"""`vaultctl safeset restore`: has the agent of a computer restore a job, and follows it."""

import os
import time
from dataclasses import dataclass
from functools import partial

import click

from protocol import messages as m
from protocol.limits import ORDER_BYTES_MAX
from tools.client import calls
from tools.client.context import pin_agent_key
from tools.client.failure import EXIT_OK, INTERRUPTED, Failure, first_cause
from tools.client.fingerprint import fingerprint_text
from tools.client.job_definition import JobAddress
from tools.client.job_secret import seal_restore_order
from tools.client.output import Output
from tools.client.passwords import PasswordSource, read_password
from tools.client.program import Command
from tools.client.progress import Progress
from tools.client.restore_order import DAY_NS, OVERWRITE_RULES, PATH_BYTES_MAX, PATHS_MAX, RestoreOrder
from tools.client.terminal_text import escape_text
from tools.client.units import time_json, time_text
from tools.vaultctl.agent_trust import Trust, check_trust
from tools.vaultctl.confirmed_agent import ConfirmedAgent, confirm_agent
from tools.vaultctl.identity import ask_vault, context_file, output_of
from tools.vaultctl.ordered_restore import end_of, follow
from tools.vaultctl.polling import answers_until_end
from tools.vaultctl.sending import Sending


@dataclass(frozen=True, slots=True)
class Options:
    safeset: str
    paths: tuple[str, ...]
    to: str | None
    target: str
    overwrite: str
    password_file: str | None
    password_command: str | None
    agent_key: str | None
    trust_agent_key: bool
    wait: bool

    @property
    def trust(self) -> Trust:
        return Trust(expected=self.agent_key, first_use=self.trust_agent_key)

    @property
    def password_source(self) -> PasswordSource:
        return PasswordSource(self.password_file, self.password_command)


@click.command("restore", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--safeset", default="latest", show_default=True, metavar="N", help="A number, or latest.")
@click.option("--path", "paths", multiple=True, metavar="P", help="Only what is at and below P; repeatable.")
@click.option("--to", metavar="COMPUTER2", help="Restore on another computer, which gets leave for that.")
@click.option(
    "--target",
    required=True,
    metavar="DIR",
    help="On that computer: files come to DIR and their full source path; / is the original place.",
)
@click.option(
    "--overwrite",
    type=click.Choice(OVERWRITE_RULES),
    default="never",
    show_default=True,
    help="Replace files that are there: never, older ones, those of another size or time, or always.",
)
@click.option("--password-file", metavar="FILE", help="The job password; - is standard input.")
@click.option("--password-command", metavar="COMMAND", help="A program that prints the job password.")
@click.option("--agent-key", metavar="FINGERPRINT", help="What `vault-agent status` shows on that computer.")
@click.option("--trust-agent-key", is_flag=True, help="Take the key that the vault says, this first time.")
@click.option("--wait", is_flag=True, help="Show how far the restore is until its end, and exit as it did.")
@click.pass_context
def restore(ctx: click.Context, computer: str, job: str, **words: object) -> int:
    """Has the service of COMPUTER, or of COMPUTER2, restore JOB, with the rights of that service.

    The order is sealed for its agent on this machine: the vault can neither read nor alter it. It is good for a day.

    It brings no devices, set-user-id and set-group-id bits of files, and file capabilities: for these somebody there,
    as root, runs `vault-agent restore --privileged`.
    """
    options, output = Options(**words), output_of(ctx)  # type: ignore[arg-type]
    check_trust(options.trust)
    wanted = _wanted(options)
    password = read_password(options.password_source, f"job {job}")
    agent = confirm_agent(ctx, options.to or computer, options.trust)
    job_id = ask_vault(ctx, partial(calls.show_job, computer=computer, job=job)).job.job_id
    safeset = _chosen(ctx, computer, job, options.safeset)
    is_own = options.to is None or options.to.casefold() == computer.casefold()
    now_ns = time.time_ns()
    order = RestoreOrder(None if is_own else computer, job, safeset.number, *wanted, now_ns, now_ns + DAY_NS, password)
    given = _send(ctx, m.RestoreOrderRequest(computer, job, options.to, _sealed(order, job_id, agent)))
    pin_agent_key(context_file(ctx), agent.computer, fingerprint_text(agent.recipient.fingerprint))
    if not options.wait:
        _show_given(output, given.order, safeset, is_connected=given.is_connected)
        return EXIT_OK
    return _wait(ctx, output, given, safeset)


def _chosen(ctx: click.Context, computer: str, job: str, text: str) -> m.SafesetSummary:
    """`latest` is the newest complete safeset as of now; its number is sealed, so that the vault cannot choose another
    one later. Told, because somebody should see which it is.
    """
    wanted = sequence_of(text)
    safesets = ask_vault(ctx, partial(calls.list_safesets, computer=computer, job=job))
    found = [one for one in safesets if (one.number == wanted if wanted else one.complete)]
    if not found:
        what = f"no safeset {wanted}" if wanted else "no complete safeset yet"
        hint = "see `vaultctl safeset list`"
        if not wanted and safesets:
            newest = max(one.number for one in safesets)
            hint = f"what an unfinished run has stored so far is restored by its number: --safeset {newest}"
        raise Failure("not_found", f"job {job!r} of {computer!r} has {what}", hint)
    chosen = max(found, key=lambda one: one.number)
    output_of(ctx).note(f"safeset {chosen.number} of {time_text(chosen.time_ns)} UTC is to be restored")
    return chosen


def _wanted(options: Options) -> tuple[tuple[bytes, ...], bytes, str]:
    """Paths, target and overwrite rule; what can be refused before anything is asked."""
    sequence_of(options.safeset)
    hint = "it is a directory of the computer that restores; / is the original place"
    target = _absolute("--target", options.target, hint)
    return _paths(options.paths), target, options.overwrite


def _send(ctx: click.Context, request: m.RestoreOrderRequest) -> m.RestoreOrderAnswer:
    sending = Sending()
    try:
        return sending.send(ctx, partial(calls.order_restore, request=request))
    except BaseException as error:
        if sending.may_be_done(error):
            output_of(ctx).note("the restore may be ordered all the same: see `vaultctl safeset restores`")
        raise


def sequence_of(text: str) -> int:
    """0 stands for the latest complete safeset."""
    if text == "latest":
        return 0
    if not text.isdecimal() or not 1 <= int(text) < 2**63:
        raise Failure("usage", f"--safeset is a number from 1 or `latest`, not {text!r}", "see `vaultctl safeset list`")
    return int(text)


def _paths(paths: tuple[str, ...]) -> tuple[bytes, ...]:
    if len(paths) > PATHS_MAX:
        hint = "name directories above them, or order several restores"
        raise Failure("usage", f"--path is given {len(paths)} times, {PATHS_MAX} are taken", hint)
    return tuple(_absolute("--path", path, "name it as `vault-agent ls` shows it") for path in paths)


def _absolute(option: str, text: str, hint: str) -> bytes:
    path = os.fsencode(text)
    if not 1 <= len(path) <= PATH_BYTES_MAX:
        what = "empty" if not path else f"longer than {PATH_BYTES_MAX} bytes"
        raise Failure("usage", f"a {option} is {what}", "a shell variable may not be set")
    if not path.startswith(b"/"):
        raise Failure("usage", f"{option} {text} is no absolute path", hint)
    return path


def _sealed(order: RestoreOrder, job_id: bytes, agent: ConfirmedAgent) -> bytes:
    address = JobAddress(agent.account_id, agent.computer_id, job_id)
    message = seal_restore_order(order, address, agent.recipient, agent.creator)
    if len(message) > ORDER_BYTES_MAX:
        raise Failure(
            "too_large",
            f"the order has {len(message)} bytes with its paths, {ORDER_BYTES_MAX} are taken",
            "name directories above them, or order several restores",
        )
    return message


def _show_given(
    output: Output, order: m.RestoreOrderSummary, safeset: m.SafesetSummary, *, is_connected: bool
) -> None:
    names = tuple(map(escape_text, (order.job, order.computer, order.to)))
    text = "Restore {} of job {} of {} on {} is ordered: `vaultctl safeset restores` shows it."
    lines = [text.format(order.number, *names), *([] if is_connected else [_away(order)])]
    document = {
        "restore": order.number, "computer": order.computer, "job": order.job, "to": order.to,
        "safeset": safeset.number, "connected": is_connected, "expires": time_json(order.expires_ns),
    }  # fmt: skip
    output.show(document, lambda: "\n".join(lines))


def _away(order: m.RestoreOrderSummary) -> str:
    return (
        f"The service of {escape_text(order.to)} is not connected: the order waits for it until"
        f" {time_text(order.expires_ns)} UTC."
    )


def _wait(ctx: click.Context, output: Output, given: m.RestoreOrderAnswer, safeset: m.SafesetSummary) -> int:
    number = given.order.number
    output.note(f"restore {number} is ordered")
    output.line({"type": "status", "state": given.order.state, "restore": number, "connected": given.is_connected})
    if not given.is_connected:
        output.note(_away(given.order))
    ask = partial(calls.restore_state, number=number)
    answers = answers_until_end(lambda: ask_vault(ctx, ask), lambda answer: answer.order.state, time.sleep)
    try:
        with Progress(output) as progress:
            end = follow(answers, output, progress)
    except BaseException as error:
        if not isinstance(first_cause(error), KeyboardInterrupt):
            output.note(f"restore {number} stays ordered: see `vaultctl safeset restores`")
            raise
        hint = f"`vaultctl safeset cancel-restore {number}` ends it"
        raise Failure(INTERRUPTED, f"interrupted: restore {number} stays ordered", hint) from None
    return end_of(output, end.order, safeset)
