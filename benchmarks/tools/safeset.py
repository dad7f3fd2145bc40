"""This product: vault and agents as child processes, one keyring for all agents, a job for each source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.line import Line
from benchmarks.measure import Command
from benchmarks.site import Site, program, run_json
from benchmarks.tools.tool import Facts, Tool

DURABILITY = (
    "containers, journal and index synced before what they hold is acknowledged, "
    "the file systems that a restore wrote to before it ends (syncfs)"
)


class Safeset(Tool):
    """Suite 1, the default. The facts are what the vault says of the job, not what it was asked for."""

    name = "safeset"
    cipher = "aes-256-cbc"
    has_network = True
    good_exit_codes = (0, 3)  # 3: done, but something could not be read or written as it was

    def __init__(self, directory: Path, line: Line | None = None, *, is_traced: bool = False) -> None:
        super().__init__(directory, line, is_traced=is_traced)
        self._jobs: dict[tuple[int, Path], str] = {}
        self._made: dict[str, int] = {}
        self._latest = ""
        self._shared: list[str] = []

    def open(self) -> None:
        self._site = Site(self.directory / "site", self._traced)
        self._site.__enter__()
        self.store = self._site.directory / "vault"
        self.port = int(self._site.url.rpartition(":")[2])

    def close(self) -> None:
        self._site.__exit__()

    def servers(self) -> list[int]:
        return [self._site.vault.pid]

    def join(self, sources: Sequence[Path]) -> None:
        if not self._shared:
            self._share_keyring()
        for agent, source in enumerate(sources):
            if not self._site.state_of(agent).exists():
                self._site.register(agent)
            if (agent, source) not in self._jobs:
                self._create_job(f"job-{len(self._jobs)}", agent, source)

    def _share_keyring(self) -> None:
        """A job that stores next to nothing and whose first run makes the keyring of all others: peers' repositories
        have their keys before the first backup too."""
        first = self._site.directory / "first"
        first.mkdir()
        self._site.create_job("first", first)
        self._site.backup("first")
        self._shared = ["--keyring", "pc-0/first", "--yes"]

    def _create_job(self, name: str, agent: int, source: Path) -> None:
        self._site.create_job(name, source, "--cipher", self.cipher, *self._shared, agent=agent)
        self._jobs[agent, source] = name
        if agent == 0:
            self.facts = self._facts(name)

    def backup_command(self, source: Path, agent: int) -> Command:
        job = self._jobs[agent, source]
        if agent == 0:
            self._latest = job
            self._made[job] = self._made.get(job, 0) + 1
        return self._command(agent, "backup", job)

    def restore_command(self, target: Path, back: int, path: Path | None) -> Command:
        words = [self._latest, *([str(path)] if path else []), "--target", str(target)]
        words += ["--safeset", str(self._made[self._latest] - back)]
        return self._command(0, "restore", *words, "--password-file", str(self._site.password_file))

    def caches(self) -> list[Path]:
        return list(self._site.state_of(0).glob("jobs/*/cache.sqlite*"))

    def lead_to(self, port: int) -> None:
        self._site.lead_to(port)

    def _command(self, agent: int, *words: str) -> Command:
        state = ["--state", str(self._site.state_of(agent))]
        return Command([*program("vault-agent"), *state, *words, "--json"], self._site.environment)

    def _facts(self, job: str) -> Facts:
        context = ["--context", str(self._site.admin)]
        shown = run_json([*program("vaultctl"), *context, "job", "show", "pc-0", job, "--json"])
        definition = shown["definition"]
        return Facts(definition["cipher"], f"zstd {definition['compression']}", DURABILITY)

    def _traced(self, words: list[str]) -> list[str]:
        return list(self.syncs.traced(Command(words), "vault").words) if self.syncs else words


class SafesetGcm(Safeset):
    """Suite 2."""

    name = "safeset-gcm"
    cipher = "aes-256-gcm"


def warm_up(directory: Path) -> None:
    """Runs once all that is measured, so that its modules are compiled."""
    source = directory / "source"
    source.mkdir(parents=True)
    (source / "file").write_bytes(b"warm" * 20_000)
    with Safeset(directory / "warm") as tool:
        tool.backup("", 0, source)
        tool.backup("", 0, source)
        tool.restore("", 0, directory / "target")
