"""`vaultctl safeset grant`, `grants`, `revoke`: leave for a computer to restore a job of another one, once."""

from collections.abc import Sequence
from functools import partial

import click

from protocol.messages.grant import GrantSummary
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Command
from tools.client.tables import Column, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import time_text
from tools.vaultctl.identity import ask_vault, output_of

_COLUMNS = (
    Column("COMPUTER"),
    Column("JOB"),
    Column("MAY BE RESTORED ON"),
    Column("UNTIL (UTC)"),
    Column("FIRST USED (UTC)"),
    Column("STATE"),
)


@click.command("grant", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--to", required=True, metavar="COMPUTER2", help="Where the job may be restored.")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="To begin within.")
@click.pass_context
def grant(ctx: click.Context, computer: str, job: str, to: str, days: int) -> None:
    """Lets COMPUTER2 restore JOB of COMPUTER once, with the job's password.

    The first restore or `ls` that opens it uses it; from then on it is good for 24 hours, so that a restore which was
    cut can be finished.
    """
    given = ask_vault(ctx, partial(calls.grant_safesets, computer=computer, job=job, to=to, days=days))
    names = tuple(map(escape_text, (to, job, computer)))
    text = "{} may restore job {} of {} once, with its password".format(*names)
    output_of(ctx).show(document_of(given), lambda: f"{text}; to begin until {time_text(given.end_ns)} UTC.")


@click.command("grants", cls=Command)
@click.pass_context
def grants(ctx: click.Context) -> None:
    """Lists the grants of the account until they are taken back, those that are over too."""
    found = ask_vault(ctx, calls.list_grants)
    output_of(ctx).show([document_of(one) for one in found], lambda: _text(found))


@click.command("revoke", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.option("--to", required=True, metavar="COMPUTER2", help="Whose grant it is.")
@click.pass_context
def revoke(ctx: click.Context, computer: str, job: str, to: str) -> None:
    """Takes a grant back; a restore that goes on under it ends."""
    ask_vault(ctx, partial(calls.revoke_grant, computer=computer, job=job, to=to))
    names = tuple(map(escape_text, (to, job, computer)))
    output_of(ctx).show(
        {"computer": computer, "job": job, "to": to}, lambda: "{} may not restore job {} of {} any more.".format(*names)
    )


def _text(found: Sequence[GrantSummary]) -> str:
    rows = [
        (one.computer, one.job, one.to, time_text(one.end_ns), time_text(one.first_used_ns), _state(one))
        for one in found
    ]
    return table_text(_COLUMNS, rows, "There is no grant: `vaultctl safeset grant` gives one.")


def _state(one: GrantSummary) -> str:
    if not one.is_good:
        return "over"
    return "unused" if one.first_used_ns is None else "in use"
