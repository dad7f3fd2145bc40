"""`vaultctl computer`: the computers of an account."""

from functools import partial

import click

from protocol.messages.fields import ComputerKind
from tools.client import calls
from tools.client.agent_key import fingerprint_text
from tools.client.context import ensure_creator_key
from tools.client.documents import document_of
from tools.client.invite_code import InviteCode, authority_fingerprint, format_invite_code
from tools.client.program import Group
from tools.client.tables import fields_text
from tools.client.units import time_json, time_text
from tools.vaultctl.identity import ask_vault, context_file, context_of, output_of
from tools.vaultctl.listing import computers_text, jobs_text


@click.group("computer", cls=Group)
def command() -> None:
    """Computers of the account (administrator)."""


@command.command("invite")
@click.option("--kind", type=click.Choice(["pc", "server"]), default="pc", show_default=True, help="What it is.")
@click.pass_context
def invite(ctx: click.Context, kind: ComputerKind) -> None:
    """Makes the code with which one computer registers.

    The computer will take jobs only of this context, whose signing key is made when the first code is.
    """
    answer = ask_vault(ctx, partial(calls.invite_computer, kind=kind))
    creator = ensure_creator_key(context_file(ctx))
    authority = authority_fingerprint(context_of(ctx).ca)
    code = format_invite_code(InviteCode(answer.secret, authority, creator.fingerprint))
    creator_text = fingerprint_text(creator.fingerprint)
    output = output_of(ctx)
    output.show({"code": code, "expires": time_json(answer.expires_ns), "creator": creator_text}, lambda: code)
    output.note(
        f"It registers one computer until {time_text(answer.expires_ns)} UTC:",
        f"  vault-agent --state DIR register URL --code {code}",
        f"The computer will take jobs of this context only, by its key {creator_text}",
    )


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
    ]
    output_of(ctx).show(
        {**document_of(found), "jobs": [document_of(job) for job in answer.jobs]},
        lambda: f"{fields_text(fields)}\n\n{jobs_text(answer.jobs)}",
    )
