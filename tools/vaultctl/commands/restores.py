"""`vaultctl safeset restores` and `cancel-restore`: what computers were ordered to restore."""

from collections.abc import Sequence
from functools import partial

import click

from protocol import messages as m
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Command
from tools.client.tables import Column, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, size_text, time_text
from tools.vaultctl.identity import ask_vault, output_of

_COLUMNS = (
    Column("RESTORE", right=True),
    Column("COMPUTER"),
    Column("JOB"),
    Column("ON"),
    Column("ORDERED (UTC)"),
    Column("STATE"),
    Column("ENDED (UTC)"),
    Column("FILES", right=True),
    Column("BYTES", right=True),
    Column("WARNINGS", right=True),
)


@click.command("restores", cls=Command)
@click.pass_context
def restores(ctx: click.Context) -> None:
    """Lists what computers of the account were ordered to restore, newest first."""
    found = ask_vault(ctx, calls.list_restores)
    output_of(ctx).show([document_of(one) for one in found], lambda: _text(found))


@click.command("cancel-restore", cls=Command)
@click.argument("number", type=click.IntRange(1, 2**63 - 1))
@click.pass_context
def cancel_restore(ctx: click.Context, number: int) -> None:
    """Takes an order back; a computer that restores already stops, and what it has restored stays."""
    cancelled = ask_vault(ctx, partial(calls.cancel_restore, number=number))
    text = f"Restore {number} is cancelled; nothing had begun."
    if cancelled.begin_ns is not None:
        text = f"Restore {number} is cancelled; {escape_text(cancelled.to)} stops, and what it has restored stays."
    output_of(ctx).show(document_of(cancelled), lambda: text)


def _text(found: Sequence[m.RestoreOrderSummary]) -> str:
    rows = (
        (
            str(one.number),
            one.computer,
            one.job,
            one.to,
            time_text(one.created_ns),
            f"{one.state}: {one.code}" if one.code else one.state,
            time_text(one.end_ns),
            count_text(one.files),
            size_text(one.bytes),
            count_text(one.warnings),
        )
        for one in found
    )
    return table_text(_COLUMNS, rows, "No restore was ordered: `vaultctl safeset restore` orders one.")
