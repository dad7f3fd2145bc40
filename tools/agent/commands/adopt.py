"""`vault-agent adopt`: takes the keys of a job up where this computer replaces the one that made them."""

import click

from tools.agent.commands.backup import named_job
from tools.agent.commands.context import output_of, state_of
from tools.agent.commands.opening import read_secret, secret_options, sequence_of
from tools.agent.keys.adopt import Adopting, adopt
from tools.agent.local.hand_over import is_up
from tools.agent.state import KnownHead, StateDirectory, lock_state
from tools.agent.vault.connection import ask_vault
from tools.client.failure import Failure
from tools.client.passwords import PasswordSource
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_text


def _require_no_service(state: StateDirectory) -> None:
    """It holds the state as long as it is up: nobody should wait for its end, nor type a password for nothing."""
    if is_up(state.path):
        message = f"the service works with {state.path}, and keys are taken up without it"
        raise Failure("conflict", message, "stop it (`systemctl stop vault-agent`), adopt, and start it again")


@click.command("adopt", cls=Command)
@click.argument("job")
@click.option("--safeset", default="latest", metavar="N", help="By which one the keys come, if the latest is damaged.")
@secret_options
@click.pass_context
def command(
    ctx: click.Context, job: str, safeset: str, password_file: str | None, password_command: str | None,
    recovery_code_file: str | None,
) -> None:  # fmt: skip
    """Takes the keys of JOB up, with its password: for a computer that replaces the one that backed it up.

    Then `backup` goes on with the job's next safeset and sends only what the vault does not have.
    """
    output, state = output_of(ctx), state_of(ctx)
    sequence = sequence_of(safeset)
    identity = state.load_identity()
    _require_no_service(state)
    secret = read_secret(PasswordSource(password_file, password_command), recovery_code_file, job)

    async def talk(session: VaultSession) -> KnownHead:
        return await adopt(Adopting(session, state, identity, await named_job(session, state, job)), secret, sequence)

    with lock_state(state):
        head = ask_vault(state, identity, talk)
    output.show(
        {"job": job, "safeset": head.sequence},
        lambda: (
            f"The keys of job {escape_text(job)} are here; its newest safeset is {head.sequence}."
            f" Next: vault-agent backup {escape_text(job)}"
        ),
    )
