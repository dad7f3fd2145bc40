"""`vaultctl keyring`: what opens a job's safesets."""

import click

from tools.client.program import Group
from tools.vaultctl.commands.keyring_password import password


@click.group("keyring", cls=Group)
def command() -> None:
    """Keyrings: what opens the safesets of jobs (administrator)."""


command.add_command(password)
