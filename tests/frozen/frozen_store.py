"""The frozen store of version 1, unpacked as a site with the programs of this checkout, and what it must give."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import socket
import tarfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Site
from tests.frozen.listing import Listing

STORE = Path(__file__).resolve().parents[1] / "fixtures" / "store-v1"
ARCHIVE = STORE / "vault.tar.xz"
COMPUTERS = {"plain": "pc", "kinds": "pc", "later": "pc", "unread": "laptop"}


@cache
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STORE / "expected.json").read_text(encoding="ascii"))
    return found


def expected(job: str, number: int) -> Listing:
    """The page says of a safeset what differs from the one before."""
    found: Listing = {}
    for safeset in range(1, number + 1):
        found |= facts()["jobs"][job][str(safeset)]
    return {path: entry for path, entry in found.items() if entry is not None}


def safesets() -> list[tuple[str, int]]:
    """Every safeset that the store has, the newest of a job last."""
    return [(job, int(number)) for job, found in facts()["jobs"].items() if job != "later" for number in found]


def unpack(directory: Path) -> None:
    """As it was when the daemon that made it had stopped; modes and owners are those of the archive."""
    with tarfile.open(fileobj=BytesIO(lzma.decompress(ARCHIVE.read_bytes()))) as archive:
        archive.extractall(directory, filter="fully_trusted")


def recovery_code(job: str) -> str:
    return (STORE / f"{job}.recovery-code").read_text(encoding="ascii").strip()


class FrozenSite(Site):
    """At a port that is free now, as docs/operations.md allows: `listen` in vault.toml, `url` in all other files."""

    def __init__(self, directory: Path) -> None:
        unpack(directory)
        self.directory = directory
        self.vault = directory / "vault"
        self.disks = [self.vault / "disk-1", self.vault / "disk-2"]
        self.daemon = None
        self.settings = {}
        self.operator = self.vault / "operator.context"
        self.url = self._move(facts()["url"].removeprefix("https://"))
        for path in STORE.glob("*.password"):
            shutil.copy(path, directory)
            (directory / path.name).chmod(0o600)  # git keeps no such mode

    def _move(self, address: str) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = f"127.0.0.1:{probe.getsockname()[1]}"
        moved = [self.vault / "vault.toml", self.operator, *self.directory.glob("*.context")]
        for path in [*moved, *self.directory.glob("*.state/identity.json")]:
            text = path.read_text(encoding="utf-8")
            assert address in text
            path.write_text(text.replace(address, free), encoding="utf-8")
        return f"https://{free}"

    def recovery_code_file(self, job: str) -> Path:
        path = self.directory / f"{job}.code"
        path.touch(mode=0o600)
        path.write_text(recovery_code(job) + "\n", encoding="ascii")
        return path

    def restored_codes(self, job: str, target: Path, *words: object) -> tuple[int, set[tuple[str, str]]]:
        """Exit code and warnings, each with its path."""
        done = self.run_agent(COMPUTERS[job], "restore", job, "--target", target, *words)
        warnings = {(os.fsdecode(line["path"]), line["code"]) for line in done.lines if line["type"] == "warning"}
        return done.exit_code, warnings
