"""A vault with one account and one agent, all as child processes, for one scenario."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Measured, MemoryWatch, measure

PASSWORD = "correct horse battery staple"


def program(name: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        {"vaultd": "vaultd", "vaultctl": "tools.vaultctl", "vault-agent": "tools.agent"}[name],
    ]


def run_json(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@dataclass(frozen=True, slots=True)
class Backup:
    """One command of the agent: its own summary, its process, and the vault beside it."""

    summary: dict
    agent: Measured
    vault_cpu_seconds: float
    vault_peak_anonymous_bytes: int


class Site:
    """Use as a context manager; `directory` must be on the disk that is to be measured."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "agent"
        self.password_file = directory / "password"
        self.admin = directory / "admin.context"

    def __enter__(self) -> Site:
        self.directory.mkdir(parents=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(PASSWORD, encoding="utf-8")
        made = run_json(
            [*program("vaultd"), "init", str(self.directory / "vault"), "--listen", "127.0.0.1:0", "--json"]
        )
        self.url = made["url"]
        self.vault = subprocess.Popen(
            [*program("vaultd"), "serve", str(self.directory / "vault")],
            stdout=subprocess.PIPE,
            stderr=(self.directory / "vault.log").open("wb"),
            text=True,
        )
        assert self.vault.stdout is not None
        ready = self.vault.stdout.readline()
        assert ready.startswith("listening on "), ready
        run_json(
            [
                *program("vaultctl"),
                "--context",
                made["context"],
                "account",
                "create",
                "bench",
                "--admin-context",
                str(self.admin),
                "--json",
            ]
        )
        code = run_json([*program("vaultctl"), "--context", str(self.admin), "computer", "invite", "--json"])["code"]
        run_json(
            [
                *program("vault-agent"),
                "--state",
                str(self.state),
                "register",
                self.url,
                "--code",
                code,
                "--name",
                "pc",
                "--json",
            ]
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.vault.terminate()
        self.vault.wait(60)

    def create_job(self, name: str, include: Path, *options: str) -> None:
        run_json(
            [*program("vaultctl"), "--context", str(self.admin), "job", "create", "pc", name, "--include", str(include)]
            + ["--password-file", str(self.password_file), "--trust-agent-key", "--json", *options]
        )

    def backup(self, job: str) -> Backup:
        return self.agent("backup", job)

    def agent(self, command: str, *words: str) -> Backup:
        before = cpu_seconds(self.vault.pid)
        with MemoryWatch(self.vault.pid) as vault_memory:
            done = measure([*program("vault-agent"), "--state", str(self.state), command, *words, "--json"])
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        if done.exit_code not in (0, 3):
            raise RuntimeError(f"{command} ended with {done.exit_code}: {summary} {done.stderr[-500:]}")
        return Backup(summary, done, cpu_seconds(self.vault.pid) - before, vault_memory.peak_anonymous_bytes)

    def stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.directory / "vault").rglob("*.container"))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
