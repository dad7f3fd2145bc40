"""`vault-agent safesets`: the safesets of a job."""

import click

from protocol.messages import SafesetSummary
from tools.agent.commands.context import output_of, state_of
from tools.agent.vault.connection import ask_vault
from tools.agent.vault.not_found import OF_ANOTHER_COMPUTER, hint_where_not_found
from tools.client.calls import list_safesets
from tools.client.program import Command
from tools.client.safeset_listing import safeset_document, safesets_text
from tools.client.session import VaultSession


@click.command("safesets", cls=Command)
@click.argument("job")
@click.option("--computer", metavar="NAME", help="Whose job it is, where it is not this computer's.")
@click.pass_context
def command(ctx: click.Context, job: str, computer: str | None) -> None:
    """Lists the safesets of JOB: what can be restored. Newest first; with --json oldest first."""
    state = state_of(ctx)
    identity = state.load_identity()

    async def listing(session: VaultSession) -> list[SafesetSummary]:
        with hint_where_not_found(OF_ANOTHER_COMPUTER if computer is None else ""):
            return await list_safesets(session, identity.computer if computer is None else computer, job)

    safesets = ask_vault(state, identity, listing)
    output_of(ctx).show([safeset_document(safeset) for safeset in safesets], lambda: safesets_text(safesets))
