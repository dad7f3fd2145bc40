"""A vault with one account and one agent, all as child processes, for one scenario."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import of_ours
from benchmarks.measure import Measured, MemoryWatch, measure
from benchmarks.processes import cpu_seconds, terminate

PASSWORD = "correct horse battery staple"


def program(name: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        {"vaultd": "vaultd", "vaultctl": "tools.vaultctl", "vault-agent": "tools.agent"}[name],
    ]


def run_json(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=of_ours())
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@dataclass(frozen=True, slots=True)
class Backup:
    """One command of the agent: its own summary, its process, and the vault beside it."""

    summary: dict
    agent: Measured
    vault_cpu_seconds: float
    vault_peak_anonymous_bytes: int


class Site:
    """Use as a context manager; `directory` must be on the disk that is to be measured. `wrap`: what stands before the
    words of the daemon.
    """

    def __init__(self, directory: Path, wrap: Callable[[list[str]], list[str]] = list) -> None:
        self.directory = directory
        self.state = self.state_of(0)
        self.password_file = directory / "password"
        self.admin = directory / "admin.context"
        temporary = directory / "temporary"  # SQLite makes files there, and the system's may lie above the data
        self.environment = {**of_ours(), "TMPDIR": str(temporary)}
        self._wrap = wrap

    def __enter__(self) -> Site:
        Path(self.environment["TMPDIR"]).mkdir(parents=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(PASSWORD, encoding="utf-8")
        vault = str(self.directory / "vault")
        made = run_json([*program("vaultd"), "init", vault, "--listen", "127.0.0.1:0", "--json"])
        self.url = made["url"]
        with (self.directory / "vault.log").open("wb") as log:
            self.vault = subprocess.Popen(
                self._wrap([*program("vaultd"), "serve", vault]),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
            )
        assert self.vault.stdout is not None
        ready = self.vault.stdout.readline()
        assert ready.startswith("listening on "), ready
        account = ["account", "create", "bench", "--admin-context", str(self.admin)]
        run_json([*program("vaultctl"), "--context", made["context"], *account, "--json"])
        self.register(0)
        return self

    def __exit__(self, *_: object) -> None:
        terminate(self.vault.pid)
        self.vault.wait(60)
        assert self.vault.stdout is not None
        self.vault.stdout.close()

    def state_of(self, agent: int) -> Path:
        return self.directory / f"agent-{agent}"

    def lead_to(self, port: int) -> None:
        """An agent's identity says where its vault is; nothing else depends on the port."""
        for path in self.directory.glob("agent*/identity.json"):
            identity = json.loads(path.read_text(encoding="utf-8"))
            identity["url"] = f"https://127.0.0.1:{port}"
            path.write_text(json.dumps(identity), encoding="utf-8")

    def register(self, agent: int) -> None:
        """One more computer of the account, pc-N."""
        code = run_json([*program("vaultctl"), "--context", str(self.admin), "computer", "invite", "--json"])["code"]
        place = ["--state", str(self.state_of(agent)), "register", self.url, "--code", code]
        run_json([*program("vault-agent"), *place, "--name", f"pc-{agent}", "--json"])

    def create_job(self, name: str, include: Path, *options: str, agent: int = 0) -> None:
        job = ["job", "create", f"pc-{agent}", name, "--include", str(include), "--trust-agent-key"]
        secret = ["--password-file", str(self.password_file)]
        run_json([*program("vaultctl"), "--context", str(self.admin), *job, *secret, "--json", *options])

    def backup(self, job: str) -> Backup:
        return self.agent("backup", job)

    def agent(self, command: str, *words: str) -> Backup:
        before = cpu_seconds(self.vault.pid)
        with MemoryWatch(self.vault.pid) as vault_memory:
            state = ["--state", str(self.state)]
            done = measure([*program("vault-agent"), *state, command, *words, "--json"], self.environment)
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        if done.exit_code not in (0, 3):
            raise RuntimeError(f"{command} ended with {done.exit_code}: {summary} {done.stderr[-500:]}")
        return Backup(summary, done, cpu_seconds(self.vault.pid) - before, vault_memory.peak_anonymous_bytes)

    def stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.directory / "vault").rglob("*.container"))
