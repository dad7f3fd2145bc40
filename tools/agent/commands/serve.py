"""`vault-agent serve`: the service, in the foreground."""

from pathlib import Path

import click

from tools.agent.commands.context import output_of, state_of
from tools.agent.local_settings import load_local_settings
from tools.agent.service.service import Service
from tools.agent.state import StateDirectory, lock_state
from tools.agent.system.priority import lower_priority
from tools.agent.vault.connection import run_loop
from tools.client.program import Command


@click.command("serve", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Stays connected with the vault, runs the jobs that are asked for there, and takes over `backup` and `restore`.

    Prints one line when it is ready. SIGTERM or Ctrl-C ends it in order: a run that goes on is told to the vault as
    aborted; a second one ends it at once.
    """
    output, state = output_of(ctx), state_of(ctx)
    state = StateDirectory(Path(state.path).absolute())
    identity = state.load_identity()
    load_local_settings(state.path)  # its faults are told here and not by the first run
    lower_priority()
    with lock_state(state) as lock:
        run_loop(Service(state, identity, lock, output).run)
