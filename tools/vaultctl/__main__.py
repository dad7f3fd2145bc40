"""The program `vaultctl`."""

from pathlib import Path

import click

from tools.client.named_path import NamedPath
from tools.client.program import Part, Program
from tools.client.version import PROGRAM_VERSION

_COMMANDS = "tools.vaultctl.commands"
_PARTS = {
    "account": Part(f"{_COMMANDS}.account", "Accounts of the vault (operator)."),
    "status": Part(f"{_COMMANDS}.status", "What the vault holds and how it is (operator)."),
    "clock": Part(f"{_COMMANDS}.clock", "The vault's clock, after a jump (operator)."),
    "collect": Part(f"{_COMMANDS}.collect", "Drops what no safeset uses any more (operator)."),
    "disk": Part(f"{_COMMANDS}.disk", "Disks of the vault; one that is lost (operator)."),
    "scrub": Part(f"{_COMMANDS}.scrub", "Reads and checks everything that is stored (operator)."),
    "computer": Part(f"{_COMMANDS}.computer", "Computers of the account (administrator)."),
    "job": Part(f"{_COMMANDS}.job", "Jobs: what is backed up (administrator)."),
    "keyring": Part(f"{_COMMANDS}.keyring", "Keyrings of jobs: another password (administrator)."),
    "retention": Part(f"{_COMMANDS}.retention", "How long safesets are kept (administrator)."),
    "safeset": Part(f"{_COMMANDS}.safeset", "Safesets of a job: what can be restored (administrator)."),
}


@click.group(cls=Program, name="vaultctl", parts=_PARTS)
@click.version_option(PROGRAM_VERSION, message="%(prog)s %(version)s")
@click.option(
    "--context",
    metavar="FILE",
    envvar="VAULTCTL_CONTEXT",
    type=NamedPath(),
    help="URL, authority and credentials of one identity; or $VAULTCTL_CONTEXT.",
)
def main(context: Path | None) -> None:
    """Runs a vault's accounts (operator's context), or one account's computers and jobs (its administrator's)."""


if __name__ == "__main__":
    main()
