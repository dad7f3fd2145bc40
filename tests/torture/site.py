"""A vault with its account, agents and jobs, made once and put back to that state as often as it is asked for."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.end_to_end.conftest import Site
from tests.torture.agents import Agent
from tests.torture.trees import make_tree

SETTINGS = {
    # Small, so that an upload is many commits and a vault soon has many containers and segments.
    "VAULTD_GROUP_COMMIT_BYTES": str(1 << 20),
    "VAULTD_CONTAINER_BYTES": str(16 << 20),
    "VAULTD_JOURNAL_SEGMENT_BYTES": str(1 << 20),
    "VAULTD_RECEIVE_BUDGET_BYTES": str(64 << 20),
}
_ACCOUNT = "acme"


class TorturedSite:
    """The paths stay the same, because agents and jobs know them."""

    def __init__(self, agents: int, seed: int, parent: Path | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="safeset-torture-", dir=parent))
        self._live, self._kept = self.directory / "live", self.directory / "kept"
        self._live.mkdir()
        self.site = Site(self._live, disks=2)
        self.site.settings.update(SETTINGS)
        self.jobs = [f"job-{number}" for number in range(agents)]
        self.trees = [self._live / "trees" / job for job in self.jobs]
        self.agents: list[Agent] = []
        try:
            self._set_up(seed)
            self.agents += [Agent(self._live, self.site.state(job), job) for job in self.jobs]
        except Exception as error:
            self.end_processes()
            error.add_note(f"Its directory is kept: {self.directory}")
            raise
        except BaseException:
            self.end_processes()
            self.remove()
            raise

    def _set_up(self, seed: int) -> None:
        self.site.start()
        self.site.create_account(_ACCOUNT)
        for number, tree in enumerate(self.trees):
            make_tree(tree, seed + number)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._set_up_agent, self.jobs, self.trees))
        self.site.stop()
        _copy(self._live, self._kept)

    def _set_up_agent(self, job: str, tree: Path) -> None:
        """Its job has the name of its computer."""
        self.site.register(_ACCOUNT, job)
        self.site.create_job(_ACCOUNT, job, job, tree)
        self.site.backup(job, job)

    def put_back(self) -> None:
        """As it was after the setting up; the vault is stopped."""
        for agent in self.agents:
            agent.forget_runs()
        shutil.rmtree(self._live)
        _copy(self._kept, self._live)

    def end_processes(self) -> None:
        for agent in self.agents:
            agent.close()
        if self.site.daemon is not None:
            self.site.kill()

    def remove(self) -> None:
        shutil.rmtree(self.directory)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True, stdin=subprocess.DEVNULL)
