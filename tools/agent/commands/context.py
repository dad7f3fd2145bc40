"""What every command of the agent begins with: its output and its state directory."""

from pathlib import Path

import click

from tools.agent.state import StateDirectory, open_state
from tools.client.failure import Failure
from tools.client.output import Output


def output_of(ctx: click.Context) -> Output:
    output: Output = ctx.find_root().obj
    return output


def state_path(ctx: click.Context) -> Path:
    path: Path | None = ctx.find_root().params["state"]
    if path is None:
        raise Failure("usage", "no state directory was given", "vault-agent --state DIR …, or set $VAULT_AGENT_STATE")
    return path


def state_of(ctx: click.Context) -> StateDirectory:
    return open_state(state_path(ctx))
