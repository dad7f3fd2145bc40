"""`vaultctl job freeze`, `unfreeze`: nothing of a job ends until somebody says so."""

from functools import partial

import click

from tools.client import calls
from tools.client.program import Command
from tools.client.terminal_text import escape_text
from tools.vaultctl.identity import ask_vault, output_of


@click.command("freeze", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people see it.")
@click.pass_context
def freeze(ctx: click.Context, computer: str, job: str, reason: str) -> None:
    """Keeps everything of a job: nothing expires, is deleted or purged until `unfreeze`."""
    ask_vault(ctx, partial(calls.freeze_job, computer=computer, job=job, reason=reason))
    document = {"computer": computer, "job": job, "reason": reason}
    output_of(ctx).show(document, lambda: f"Job {escape_text(job)} is frozen: all its safesets stay.")


@click.command("unfreeze", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.pass_context
def unfreeze(ctx: click.Context, computer: str, job: str) -> None:
    """Says that all is well: what waited expires as its retention type says."""
    ask_vault(ctx, partial(calls.freeze_job, computer=computer, job=job, reason=None))
    output_of(ctx).show({"computer": computer, "job": job}, lambda: f"Job {escape_text(job)} is not frozen any more.")
