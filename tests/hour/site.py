"""The vault of the hour with its accounts, computers, jobs and keyrings."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.end_to_end.conftest import Done, Site, environment, run_program
from tests.support.forked_daemon import ForkedDaemon

_PAGE_SECONDS = 60
_COLLECT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Place:
    """One computer with its only job. `lead` is the job of which it shares the keyring, its own where it has one."""

    account: str
    computer: str
    job: str
    lead: str


def make_places(agents: int) -> list[Place]:
    """Four in an account: three of them share a keyring, one has its own."""
    places = []
    for number in range(agents):
        first = number - number % 4
        lead = number if number % 4 == 3 else first
        places.append(Place(f"account-{first}", f"computer-{number}", f"job-{number}", f"job-{lead}"))
    return places


class HourSite(Site):
    """Its daemon is the hasty one; what reads its disk is the real one."""

    def __init__(self, agents: int, undelete_seconds: int, parent: Path | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="safeset-hour-", dir=parent))
        super().__init__(self.root, disks=2)
        self.places = make_places(agents)
        self.settings |= {
            "VAULTD_CONTAINER_BYTES": str(16 << 20),  # the smallest: many are there to be moved
            "VAULTD_UNDELETE_SECONDS": str(undelete_seconds),
            "VAULTD_COLLECT_EVERY_SECONDS": "0",  # each one is asked for, so that each one is counted
            "VAULTD_COLLECT_PERCENT": "100",
            "VAULTD_COMPACT_DEAD_PERCENT": "10",
            "VAULTD_CHECKPOINT_EVERY_SECONDS": str(7 * 24 * 3600),  # the journal stays whole for who counts in it
        }

    def _started(self, words: list[str], variables: dict[str, str], log: IO[str]) -> ForkedDaemon:
        return ForkedDaemon("tests.hour.hasty_vault", words, variables, log.fileno())

    def tree(self, place: Place) -> Path:
        return self.root / "trees" / place.job

    def set_up(self) -> None:
        """The trees are there. A keyring is made by the first backup of its first job."""
        self.start()
        for account in sorted({place.account for place in self.places}):
            self.create_account(account)
        for place in self.places:
            self.register(place.account, place.computer)
            if place.lead == place.job:
                self.create_job(place.account, place.computer, place.job, self.tree(place))
                self.backup(place.computer, place.job)
            else:
                self._share(place)

    def _share(self, place: Place) -> None:
        lead = next(other for other in self.places if other.job == place.lead)
        shared = ("--keyring", f"{lead.computer}/{lead.job}", "--password-file", self.password(lead.job), "--yes")
        created = ("job", "create", place.computer, place.job, "--include", self.tree(place), "--trust-agent-key")
        self._ok(self.run_administrator(place.account, *created, *shared))

    def run_safeset(self, place: Place, verb: str, *words: object) -> Done:
        return self.run_administrator(place.account, "safeset", verb, place.computer, place.job, *words)

    def restore_safeset(self, place: Place, number: int, target: Path) -> Done:
        return self.run_agent(
            place.computer, "restore", place.job, "--safeset", number, "--target", target,
            "--password-file", self.password(place.lead),
        )  # fmt: skip

    def collect(self) -> Done:
        """One collection, which takes minutes where much is to be moved and everybody else is at work too."""
        words = ("--context", self.operator, "collect")
        return run_program("vaultctl", *words, timeout_seconds=_COLLECT_SECONDS)

    def metrics(self) -> dict[str, int]:
        """The counters without labels."""
        token = json.loads(self.operator.read_text(encoding="utf-8"))["token"]
        page = subprocess.run(
            ["curl", "--silent", "--show-error", "--fail", "--max-time", str(_PAGE_SECONDS),
             "--cacert", self.authority, "--config", "-", f"{self.url}/metrics"],
            input=f'header = "authorization: Bearer {token}"\n', capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return {
            name: int(float(value)) for name, value in re.findall(r"^(vaultd_\w+_total) (\S+)$", page, re.MULTILINE)
        }

    def begin_run(self, place: Place, *, is_hasty: bool, log: IO[str]) -> ForkedDaemon:
        module = "tests.hour.hasty_agent" if is_hasty else "tools.agent"
        words = ["--state", str(self.state(place.computer)), "backup", place.job, "--json"]
        return ForkedDaemon(module, words, environment(), log.fileno())
