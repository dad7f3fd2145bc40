"""`vaultctl computer`: the computers of an account."""

from functools import partial
from pathlib import Path

import click

from protocol.messages.fields import ComputerKind
from tools.client import calls
from tools.client.context import Context, expect_another_key
from tools.client.documents import document_of
from tools.client.failure import Failure
from tools.client.fingerprint import fingerprint_text
from tools.client.invite_code import InviteCode, authority_fingerprint, format_invite_code
from tools.client.program import Group
from tools.client.signing_file import ensure_creator_key, load_creator_key, signing_file
from tools.client.tables import fields_text
from tools.client.terminal_text import escape_text
from tools.client.units import time_json, time_text
from tools.vaultctl.commands.distrust import distrust
from tools.vaultctl.confirmed_removal import confirm_removal
from tools.vaultctl.definition import job_document
from tools.vaultctl.identity import ask_vault, context_file, context_of, output_of
from tools.vaultctl.listing import computer_state, computers_text, jobs_text


@click.group("computer", cls=Group)
def command() -> None:
    """Computers of the account (administrator)."""


@command.command("invite")
@click.option("--kind", type=click.Choice(["pc", "server"]), help="What it is: pc, or as the one that it replaces.")
@click.option("--replace", metavar="COMPUTER", help="Whoever uses the code takes the place of this computer.")
@click.pass_context
def invite(ctx: click.Context, kind: ComputerKind | None, replace: str | None) -> None:
    """Makes the code with which one computer registers.

    With --replace it goes on with the name, jobs and safesets of COMPUTER, whose agent is refused from then on: for a
    computer that is gone. Its agent takes the keys of each job up with `vault-agent adopt JOB`.

    The computer will take only jobs that this context's signing key signed. The first code makes that key, in a file of
    its own beside the context: keep a copy of it, and take none from anybody else.
    """
    path, context = context_file(ctx), context_of(ctx)
    _refuse_planted_pins(path, context)
    kind = kind or ("pc" if replace is None else None)
    answer = ask_vault(ctx, partial(calls.invite_computer, kind=kind, replace=replace))
    if replace is not None:
        expect_another_key(path, replace)
    creator = ensure_creator_key(path)
    authority = authority_fingerprint(context.ca)
    code = format_invite_code(InviteCode(answer.secret, authority, creator.fingerprint))
    creator_text = fingerprint_text(creator.fingerprint)
    output = output_of(ctx)
    output.show({"code": code, "expires": time_json(answer.expires_ns), "creator": creator_text}, lambda: code)
    what = "registers one computer" if replace is None else f"puts one computer in the place of {escape_text(replace)}"
    output.note(
        f"It {what} until {time_text(answer.expires_ns)} UTC:",
        f"  vault-agent --state DIR register {context.url} --code-file -",
        f"The computer will take jobs of this context only, by its key {creator_text}",
    )
    if replace is not None:
        output.note(
            f"From then on the agent that {escape_text(replace)} has now is refused. On the new one, for each job:",
            "  vault-agent --state DIR adopt JOB",
        )


def _refuse_planted_pins(path: Path, context: Context) -> None:
    """Before the first code no agent is known: a pin would be of whoever wrote the context, and get the passwords."""
    if context.agent_keys and load_creator_key(path) is None:
        raise Failure(
            "conflict",
            f"{path} has agent keys of {', '.join(context.agent_keys)}, but no {signing_file(path).name} beside it",
            "if you have a copy of that file, bring it back; else remove `agent_keys` from the context, for the agents"
            " must be registered anew",
        )


command.add_command(distrust)


@command.command("list")
@click.pass_context
def list_computers(ctx: click.Context) -> None:
    """Lists the account's computers."""
    computers = ask_vault(ctx, calls.list_computers).computers
    output_of(ctx).show([document_of(computer) for computer in computers], lambda: computers_text(computers))


@command.command("show")
@click.argument("computer")
@click.pass_context
def show(ctx: click.Context, computer: str) -> None:
    """Shows one computer and its jobs."""
    answer = ask_vault(ctx, partial(calls.show_computer, computer=computer))
    found = answer.computer
    fields = [
        ("computer", found.name),
        ("kind", found.kind),
        ("registered (UTC)", time_text(found.registered_ns)),
        ("last seen (UTC)", time_text(found.last_seen_ns)),
        ("agent key", found.agent_key),
        ("state", computer_state(found)),
    ]
    output_of(ctx).show(
        {**document_of(found), "jobs": [job_document(job) for job in answer.jobs]},
        lambda: f"{fields_text(fields)}\n\n{jobs_text(answer.jobs)}",
    )


@command.command("remove")
@click.argument("computer")
@click.option("--yes", is_flag=True, help="Do not ask; nobody is asked without a terminal.")
@click.pass_context
def remove(ctx: click.Context, computer: str, *, yes: bool) -> None:
    """Removes a computer: its agent signs in no more, and its jobs are removed with it.

    Their safesets stay, and are restored with their passwords: on another computer of the account by `vault-agent
    restore JOB --computer COMPUTER`, which needs a grant (`vaultctl safeset grant COMPUTER JOB --to COMPUTER2`).
    """
    question = (
        f"Remove computer {escape_text(computer)} and all its jobs? Its agent signs in no more, and nothing takes"
    )
    confirm_removal(f"{question} that back; the safesets stay.", yes=yes)
    removed = ask_vault(ctx, partial(calls.remove_computer, computer=computer))
    output_of(ctx).show(
        {"computer": computer, "removed": time_json(removed.removed_ns)},
        lambda: (
            f"Computer {computer} is removed, and its jobs with it. Their safesets stay;"
            f" on another computer of the account, under a grant:\n"
            f"  vaultctl safeset grant {computer} JOB --to COMPUTER2\n"
            f"  vault-agent --state DIR restore JOB --computer {computer} --target DIR"
        ),
    )
