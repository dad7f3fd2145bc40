"""`vaultctl safeset`: the safesets of a job."""

from functools import partial

import click

from tools.client import calls
from tools.client.program import Group
from tools.client.safeset_listing import safeset_document, safesets_text
from tools.vaultctl.commands.grant import grant, grants, revoke
from tools.vaultctl.commands.held_safesets import delete, ended, pin, undelete, unpin
from tools.vaultctl.commands.restore import restore
from tools.vaultctl.commands.restores import cancel_restore, restores
from tools.vaultctl.identity import ask_vault, output_of


@click.group("safeset", cls=Group)
def command() -> None:
    """Safesets of a job: what can be restored (administrator)."""


command.add_command(grant)
command.add_command(grants)
command.add_command(revoke)
command.add_command(pin)
command.add_command(unpin)
command.add_command(delete)
command.add_command(undelete)
command.add_command(ended)
command.add_command(restore)
command.add_command(restores)
command.add_command(cancel_restore)


@command.command("list")
@click.argument("computer")
@click.argument("job")
@click.pass_context
def list_safesets(ctx: click.Context, computer: str, job: str) -> None:
    """Lists the safesets of a job, newest first; with --json oldest first."""
    safesets = ask_vault(ctx, partial(calls.list_safesets, computer=computer, job=job))
    output_of(ctx).show([safeset_document(safeset) for safeset in safesets], lambda: safesets_text(safesets))
