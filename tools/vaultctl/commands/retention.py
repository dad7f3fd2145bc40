"""`vaultctl retention`: how long safesets are kept."""

from collections.abc import Sequence
from functools import partial

import click

from protocol.messages.retention import LimitSummary, OverLimit, RetentionListAnswer, RetentionSummary, SimulatedSafeset
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Group
from tools.client.tables import Column, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, time_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.retention_reasons import REASONS

_TYPES = (
    Column("TYPE"),
    Column("DAYS", right=True),
    Column("COPIES", right=True),
    Column("SET (UTC)"),
    Column("OLDER SAFESETS"),
)
_SAFESETS = (
    Column("SAFESET", right=True),
    Column("STORED (UTC)"),
    Column("TYPE"),
    Column("NOW"),
    Column("GOES (UTC)"),
    Column("WHY"),
)


@click.group("retention", cls=Group)
def command() -> None:
    """How long safesets are kept (administrator)."""


@command.command("list")
@click.pass_context
def list_types(ctx: click.Context) -> None:
    """Lists the retention types of the account."""
    found = ask_vault(ctx, calls.list_retention)
    output_of(ctx).show(
        {"types": [document_of(one) for one in found.types], **document_of(found.limit)},
        lambda: _types_text(found),
    )


@command.command("set")
@click.argument("name")
@click.option("--days", type=click.IntRange(0, 365), metavar="DAYS", help="Kept at least so long.")
@click.option("--copies", type=click.IntRange(0, 44), metavar="COPIES", help="Kept while there are fewer newer ones.")
@click.option("--confirm", is_flag=True, help="Let the last change hold for older safesets too, after seven days.")
@click.pass_context
def set_type(ctx: click.Context, name: str, days: int | None, copies: int | None, confirm: bool) -> None:
    """Makes or changes the retention type NAME: a safeset expires only when its days AND its copies are exceeded.

    More days or copies hold at once. Fewer hold for new safesets; for older ones after seven days, with --confirm.
    """
    if confirm == (days is not None or copies is not None) or (days is None) != (copies is None):
        raise click.UsageError("give --days and --copies, or --confirm alone", ctx)
    if confirm:
        changed = ask_vault(ctx, partial(calls.confirm_retention, name=name))
    else:
        changed = ask_vault(ctx, partial(calls.set_retention, name=name, days=days or 0, copies=copies or 0))
    output_of(ctx).show(document_of(changed), lambda: _told(changed))


@command.command("limit")
@click.argument("over_limit", type=click.Choice(["expire", "keep-and-bill"]), required=False)
@click.option("--confirm", is_flag=True, help="Let `expire` hold for older safesets too, after seven days.")
@click.pass_context
def limit(ctx: click.Context, over_limit: OverLimit | None, confirm: bool) -> None:
    """What happens beyond 44 safesets of a job: the oldest expire, or they stay and those beyond 50 are billed.

    From `keep-and-bill` back to `expire`: new safesets at once, older ones after seven days, with --confirm.
    """
    if confirm == (over_limit is not None):
        raise click.UsageError("give expire, keep-and-bill, or --confirm alone", ctx)
    if over_limit is None:
        changed = ask_vault(ctx, calls.confirm_retention_limit)
    else:
        changed = ask_vault(ctx, partial(calls.limit_retention, over_limit=over_limit))
    output_of(ctx).show(document_of(changed), lambda: _limit_text(changed))


@command.command("simulate")
@click.argument("computer")
@click.argument("job")
@click.pass_context
def simulate(ctx: click.Context, computer: str, job: str) -> None:
    """Shows which safesets of a job go when and why, if it makes one a day from now on; nothing is changed."""
    found = ask_vault(ctx, partial(calls.simulate_retention, computer=computer, job=job))
    output_of(ctx).show([document_of(one) for one in found], lambda: _safesets_text(found))


def _types_text(found: RetentionListAnswer) -> str:
    rows = [
        (one.name, count_text(one.days), count_text(one.copies), time_text(one.set_ns), _older_text(one))
        for one in found.types
    ]
    types = table_text(_TYPES, rows, "")
    return f"{types}\n\n{_limit_text(found.limit)}\nNone is kept for more than 365 days."


def _limit_text(limit: LimitSummary) -> str:
    beyond = {"expire": "the oldest expire.", "keep-and-bill": "they stay, and those beyond 50 are billed."}
    text = f"Beyond 44 safesets of a job {beyond[limit.over_limit]}"
    if limit.confirm_ns is None:
        return text
    time = time_text(limit.confirm_ns)
    return f"{text}\nOlder ones stay and are not counted; `retention limit --confirm` changes that from {time} UTC on."


def _older_text(one: RetentionSummary) -> str:
    if one.confirm_ns is None:
        return "alike"
    return f"{one.older_days} days, {one.older_copies} copies; to confirm from {time_text(one.confirm_ns)} on"


def _told(one: RetentionSummary) -> str:
    kept = f"{escape_text(one.name)}: a safeset expires beyond {one.days} days and {one.copies} copies."
    if one.confirm_ns is None:
        return kept
    older = f"Older ones are kept for {one.older_days} days and {one.older_copies} copies"
    return f"{kept}\n{older}; `--confirm` changes that from {time_text(one.confirm_ns)} UTC on."


def _safesets_text(found: Sequence[SimulatedSafeset]) -> str:
    """Newest first, as safesets are listed."""
    rows = [
        (
            str(one.number),
            time_text(one.stored_at_ns),
            one.type,
            "held by a freeze" if one.is_held else REASONS.get(one.reason, one.reason),
            time_text(one.goes_ns),
            REASONS.get(one.goes_reason, one.goes_reason) or "-",
        )
        for one in reversed(found)
    ]
    return table_text(_SAFESETS, rows, "There is no complete safeset yet.")
