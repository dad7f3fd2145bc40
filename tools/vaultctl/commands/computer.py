"""`vaultctl computer`: the computers of an account."""

from functools import partial

import click

from protocol.messages.fields import ComputerKind
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Group
from tools.client.tables import fields_text
from tools.client.terminal_text import escape_text
from tools.client.units import time_json, time_text
from tools.vaultctl.definition import job_document
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.listing import computers_text, jobs_text


@click.group("computer", cls=Group)
def command() -> None:
    """Computers of the account (administrator)."""


@command.command("invite")
@click.option("--kind", type=click.Choice(["pc", "server"]), default="pc", show_default=True, help="What it is.")
@click.pass_context
def invite(ctx: click.Context, kind: ComputerKind) -> None:
    """Makes the code with which one computer registers."""
    answer = ask_vault(ctx, partial(calls.invite_computer, kind=kind))
    output = output_of(ctx)
    output.show({"code": answer.code, "expires": time_json(answer.expires_ns)}, lambda: escape_text(answer.code))
    output.note(
        f"It registers one computer until {time_text(answer.expires_ns)} UTC:",
        f"  vault-agent --state DIR register URL --code {answer.code}",
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
        {**document_of(found), "jobs": [job_document(job) for job in answer.jobs]},
        lambda: f"{fields_text(fields)}\n\n{jobs_text(answer.jobs)}",
    )
