"""`vaultctl safeset pin`, `unpin`, `delete`, `undelete`, `ended`: what an administrator decides about one safeset."""

from collections.abc import Sequence
from functools import partial

import click

from protocol.messages.retention import EndedSafeset
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Command
from tools.client.tables import Column, table_text
from tools.client.units import time_json, time_text
from tools.vaultctl.confirmed_removal import confirm_removal
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.retention_reasons import REASONS

_NUMBER = click.IntRange(1)
_COLUMNS = (
    Column("SAFESET", right=True),
    Column("STORED (UTC)"),
    Column("STATE"),
    Column("WHY"),
    Column("SINCE (UTC)"),
    Column("CAN BE BROUGHT BACK UNTIL (UTC)"),
)


@click.command("pin", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.argument("number", type=_NUMBER)
@click.option("--reason", required=True, metavar="TEXT", help="Why it is held; people see it.")
@click.pass_context
def pin(ctx: click.Context, computer: str, job: str, number: int, reason: str) -> None:
    """Holds a safeset: no days and copies end it; 365 days do."""
    ask_vault(ctx, partial(calls.pin_safeset, computer=computer, job=job, number=number, reason=reason))
    document = {"computer": computer, "job": job, "number": number, "reason": reason}
    output_of(ctx).show(document, lambda: f"Safeset {number} is pinned.")


@click.command("unpin", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.argument("number", type=_NUMBER)
@click.pass_context
def unpin(ctx: click.Context, computer: str, job: str, number: int) -> None:
    """Holds it no more."""
    ask_vault(ctx, partial(calls.unpin_safeset, computer=computer, job=job, number=number))
    document = {"computer": computer, "job": job, "number": number}
    output_of(ctx).show(document, lambda: f"Safeset {number} is not pinned any more.")


@click.command("delete", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.argument("number", type=_NUMBER)
@click.option("--yes", is_flag=True, help="Do not ask; nobody is asked without a terminal.")
@click.pass_context
def delete(ctx: click.Context, computer: str, job: str, number: int, *, yes: bool) -> None:
    """Deletes a safeset; for some days `undelete` brings it back."""
    confirm_removal(f"Delete safeset {number}? `safeset undelete` brings it back until it is purged.", yes=yes)
    answer = ask_vault(ctx, partial(calls.delete_safeset, computer=computer, job=job, number=number))
    document = {"computer": computer, "job": job, "number": number, "until": time_json(answer.until_ns)}
    until = time_text(answer.until_ns)
    output_of(ctx).show(document, lambda: f"Safeset {number} is deleted; `undelete` brings it back until {until} UTC.")


@click.command("undelete", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.argument("number", type=_NUMBER)
@click.option("--reason", required=True, metavar="TEXT", help="Why it is held from now on; people see it.")
@click.pass_context
def undelete(ctx: click.Context, computer: str, job: str, number: int, reason: str) -> None:
    """Brings back a safeset that was deleted or has expired, and pins it."""
    ask_vault(ctx, partial(calls.undelete_safeset, computer=computer, job=job, number=number, reason=reason))
    document = {"computer": computer, "job": job, "number": number, "reason": reason}
    output_of(ctx).show(document, lambda: f"Safeset {number} is back, and pinned.")


@click.command("ended", cls=Command)
@click.argument("computer")
@click.argument("job")
@click.pass_context
def ended(ctx: click.Context, computer: str, job: str) -> None:
    """Lists safesets that expired or were deleted, and until when `undelete` brings them back; the newest thousand."""
    found = ask_vault(ctx, partial(calls.list_ended, computer=computer, job=job))
    output_of(ctx).show([document_of(one) for one in found], lambda: _ended_text(found))


def _ended_text(found: Sequence[EndedSafeset]) -> str:
    """Newest first, as safesets are listed."""
    rows = [
        (
            str(one.number),
            time_text(one.stored_at_ns),
            one.state,
            REASONS.get(one.reason, one.reason),
            time_text(one.ended_ns),
            time_text(one.until_ns),
        )
        for one in reversed(found)
    ]
    return table_text(_COLUMNS, rows, "No safeset of it has expired or was deleted.")
