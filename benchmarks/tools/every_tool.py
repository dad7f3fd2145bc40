"""All tools by name, and which of them this machine has the programs for."""

from __future__ import annotations

import os
import shutil
import subprocess

from benchmarks.tools.borg import Borg, BorgServe
from benchmarks.tools.restic import Restic
from benchmarks.tools.safeset import Safeset, SafesetGcm
from benchmarks.tools.tool import Tool

TOOLS: dict[str, type[Tool]] = {tool.name: tool for tool in (Safeset, SafesetGcm, Restic, Borg, BorgServe)}
PROGRAMS = tuple(dict.fromkeys(program for tool in TOOLS.values() for program in tool.programs))


class MissingPeers(Exception):
    """Programs of peers are not on PATH, and nobody said that they may be missing."""


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


def absent_peers(names: tuple[str, ...] = tuple(TOOLS)) -> list[str]:
    """Those of `names` that cannot run here, in their order."""
    missing = missing_programs()
    return [name for name in names if any(program in missing for program in TOOLS[name].programs)]


def demand_peers() -> None:
    """Errors: MissingPeers, unless the environment has ALLOW_MISSING_PEERS=1."""
    missing = missing_programs()
    if missing and os.environ.get("ALLOW_MISSING_PEERS") != "1":
        raise MissingPeers(
            f"missing on PATH: {', '.join(missing)}; install it, or set ALLOW_MISSING_PEERS=1 to compare without it"
        )


def versions() -> dict[str, str]:
    """Of the peers' programs that are here."""
    return {program: _version(program) for program in PROGRAMS if shutil.which(program)}


def _version(program: str) -> str:
    """The first word after the name: `restic 0.14.0 compiled with…`, `borg 1.4.5`, `rclone v1.75.2`."""
    words = [program, "--version"] if program == "borg" else [program, "version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[0].split()[1]
