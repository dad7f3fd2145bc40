"""The program `vault-agent`."""

from pathlib import Path

import click

from tools.client.named_path import NamedPath
from tools.client.program import Part, Program
from tools.client.version import PROGRAM_VERSION

_COMMANDS = "tools.agent.commands"
_PARTS = {
    "register": Part(f"{_COMMANDS}.register", "Makes this computer known to a vault."),
    "serve": Part(f"{_COMMANDS}.serve", "The service: runs what is asked for at the vault, and backup and restore."),
    "unit": Part(f"{_COMMANDS}.unit", "Prints a unit file with which systemd runs the service."),
    "adopt": Part(f"{_COMMANDS}.adopt", "Takes a job's keys up where this computer replaces another one."),
    "backup": Part(f"{_COMMANDS}.backup", "Runs a job of this computer now: makes a safeset."),
    "restore": Part(f"{_COMMANDS}.restore", "Brings files of a safeset back."),
    "safesets": Part(f"{_COMMANDS}.safesets", "Lists the safesets of a job: what can be restored."),
    "ls": Part(f"{_COMMANDS}.ls", "Lists the files of a safeset."),
    "status": Part(f"{_COMMANDS}.status", "Shows who this agent is, its key and its jobs."),
}


@click.group(cls=Program, name="vault-agent", parts=_PARTS)
@click.version_option(PROGRAM_VERSION, message="%(prog)s %(version)s")
@click.option(
    "--state",
    metavar="DIR",
    envvar="VAULT_AGENT_STATE",
    type=NamedPath(),
    help="Directory with this agent's identity, keys and cache; or $VAULT_AGENT_STATE. Every command needs it.",
)
def main(state: Path | None) -> None:
    """Backs up this computer and restores to it: vault-agent --state DIR COMMAND."""


if __name__ == "__main__":
    main()
