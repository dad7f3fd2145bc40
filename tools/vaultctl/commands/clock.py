"""`vaultctl clock`: the vault's clock, by which everything expires."""

import click

from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Group
from tools.client.units import count_text
from tools.vaultctl.identity import ask_vault, output_of


@click.group("clock", cls=Group)
def command() -> None:
    """The vault's clock, by which safesets expire (operator)."""


@command.command("accept")
@click.pass_context
def accept(ctx: click.Context) -> None:
    """Says that the clock is right after it jumped: until then nothing expires. `vaultctl status` shows its time."""
    accepted = ask_vault(ctx, calls.accept_clock)
    output_of(ctx).show(
        document_of(accepted),
        lambda: f"The clock is accepted: it had jumped by {count_text(accepted.jump_seconds)} seconds.",
    )
