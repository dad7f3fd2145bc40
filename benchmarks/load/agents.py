"""The agents of a fleet: real `vault-agent` processes, each a computer of one account with a job of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.data import write_data
from benchmarks.load.figures import AgentRun
from benchmarks.load.processes import PeakMemory
from benchmarks.site import program, run_json

PASSWORD = "correct horse battery staple"
JOB = "data"
# As many jobs as a keyring takes.
JOBS_OF_ONE_KEYRING = 64
# As the agent's service runs its backups. On one machine the vault so gets a processor as if it had one of its own.
NICE = ["nice", "-n", "10"]
REGISTERED_AT_ONCE = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Load:
    """What the agents back up in each round."""

    agents: int
    bytes_per_agent: int
    shared_percent: int
    seed: int


class Fleet:
    """Computers with jobs at a vault. `has_one_keyring`: what two of them have is stored once."""

    def __init__(self, directory: Path, url: str, admin_context: Path, load: Load, *, has_one_keyring: bool) -> None:
        self._directory = directory
        self._url = url
        self._context = [*program("vaultctl"), "--context", str(admin_context)]
        self._load = load
        self._has_one_keyring = has_one_keyring
        self._password_file = directory / "password"
        # A vault may be loaded again: names of computers are never used twice.
        self._prefix = f"fleet-{secrets.token_hex(3)}"

    def prepare(self) -> None:
        """Registers all, makes their jobs, and brings each to its first safeset, of one small file."""
        self._directory.mkdir(parents=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(PASSWORD, encoding="utf-8")
        with ThreadPoolExecutor(REGISTERED_AT_ONCE) as pool:
            list(pool.map(self._register, range(self._load.agents)))
        for agent in range(self._load.agents):
            self._data(agent).mkdir()
            (self._data(agent) / "first").write_text("first\n", encoding="utf-8")
            self._create_job(agent)
            if agent % JOBS_OF_ONE_KEYRING == 0:
                run_json(self._backup_command(agent))  # which makes the keyring that the others join
        with ThreadPoolExecutor(REGISTERED_AT_ONCE) as pool:
            list(pool.map(lambda agent: run_json(self._backup_command(agent)), range(self._load.agents)))

    def write_round(self, round_number: int) -> None:
        for agent in range(self._load.agents):
            write_data(
                self._data(agent),
                agent=agent,
                round_number=round_number,
                size_bytes=self._load.bytes_per_agent,
                shared_percent=self._load.shared_percent,
                seed=self._load.seed,
            )

    def run_round(self, round_number: int, memory: PeakMemory, *, agents: int | None = None) -> list[AgentRun]:
        """All agents at once, or the first ones, until the last has ended."""
        taking_part = range(self._load.agents if agents is None else agents)
        with ThreadPoolExecutor(self._load.agents) as pool:
            return list(pool.map(lambda agent: self._back_up(agent, round_number, memory), taking_part))

    def look_at_all(self) -> None:
        """An administrator says that all is well: a job of which many safesets come within an hour is frozen else."""
        for agent in range(self._load.agents):
            words = [self._name(agent), JOB]
            run_json([*self._context, "job", "freeze", *words, "--reason", "a look", "--json"])
            run_json([*self._context, "job", "unfreeze", *words, "--json"])

    def delete_former(self, runs: Sequence[AgentRun]) -> None:
        """The safeset before that of each run."""

        def delete(one: AgentRun) -> None:
            words = ["safeset", "delete", self._name(one.agent), JOB, str(one.summary["safeset"] - 1)]
            run_json([*self._context, *words, "--yes", "--json"])

        with ThreadPoolExecutor(REGISTERED_AT_ONCE) as pool:
            list(pool.map(delete, runs))

    def _back_up(self, agent: int, round_number: int, memory: PeakMemory) -> AgentRun:
        output = self._directory / f"{agent:03}.output"
        with output.open("wb") as file, (self._directory / f"{agent:03}.errors").open("ab") as errors:
            start = time.perf_counter()
            child = subprocess.Popen([*NICE, *self._backup_command(agent)], stdout=file, stderr=errors)
            memory.add(child.pid)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall_seconds = time.perf_counter() - start
        return AgentRun(
            agent,
            round_number,
            child.returncode,
            wall_seconds,
            usage.ru_utime + usage.ru_stime,
            memory.peak_anonymous_bytes[child.pid],
            last_line(output),
        )

    def _register(self, agent: int) -> None:
        code = run_json([*self._context, "computer", "invite", "--json"])["code"]
        words = ["register", self._url, "--code", code, "--name", self._name(agent), "--json"]
        run_json([*program("vault-agent"), "--state", str(self._state(agent)), *words])

    def _create_job(self, agent: int) -> None:
        words = ["--include", str(self._data(agent)), "--password-file", str(self._password_file)]
        words += ["--trust-agent-key", "--no-recovery-code", "--json"]
        first = agent - agent % JOBS_OF_ONE_KEYRING
        if self._has_one_keyring and agent != first:
            words += ["--keyring", f"{self._name(first)}/{JOB}", "--yes"]
        run_json([*self._context, "job", "create", self._name(agent), JOB, *words])

    def _backup_command(self, agent: int) -> list[str]:
        return [*program("vault-agent"), "--state", str(self._state(agent)), "backup", JOB, "--json"]

    def _name(self, agent: int) -> str:
        return f"{self._prefix}-{agent:03}"

    def _state(self, agent: int) -> Path:
        return self._directory / f"{agent:03}.state"

    def _data(self, agent: int) -> Path:
        return self._directory / f"{agent:03}.data"


def last_line(output: Path) -> dict:
    lines = output.read_text(encoding="utf-8").splitlines()
    try:
        return json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
