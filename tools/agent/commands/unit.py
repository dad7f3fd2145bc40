"""`vault-agent unit`: the unit file of the service for systemd."""

import sys
from pathlib import Path

import click

from tools.agent.commands.context import output_of, state_of
from tools.agent.local_settings import load_local_settings
from tools.agent.service.service_unit import unit_text
from tools.client.program import Command


@click.command("unit", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Prints a unit file for systemd that runs this program's service with this state directory.

    For example: vault-agent --state DIR unit > /etc/systemd/system/vault-agent.service
    """
    state = state_of(ctx)
    state.load_identity()
    limit_bytes = load_local_settings(state.path).memory_limit_bytes
    text = unit_text(Path(sys.argv[0]).absolute(), state.path.absolute(), limit_bytes)
    output_of(ctx).show({"unit": text}, text.rstrip)
