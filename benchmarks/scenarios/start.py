"""How long a program needs from its start: to its help, and to the first byte that a backup sends to its vault.

A socket of the harness stands in the vault's place; what comes first is the greeting of TLS.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import of_ours
from benchmarks.site import Site, program

STARTS_IN_A_ROUND = 5
HELPS = {
    "vault-agent --help": [*program("vault-agent"), "--help"],
    "vault-agent backup --help": [*program("vault-agent"), "backup", "--help"],
    "vaultctl --help": [*program("vaultctl"), "--help"],
}
FIRST_BYTE = "vault-agent backup, first byte"


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del seed
    source = directory / "source"
    source.mkdir()
    samples = []
    with Site(directory / "site") as site, socket.create_server(("127.0.0.1", 0)) as listener:
        site.create_job("job", source)
        site.backup("job")
        site.lead_to(listener.getsockname()[1])
        for number in range(rounds * STARTS_IN_A_ROUND):
            took = {case: seconds_of(words) for case, words in HELPS.items()}
            took[FIRST_BYTE] = seconds_to_first_byte(site.state, listener)
            samples += [{"case": case, "round": number, "milliseconds": 1000 * took[case]} for case in took]
    return samples


def seconds_of(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, env=of_ours(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_to_first_byte(state: Path, listener: socket.socket) -> float:
    began = time.perf_counter()
    agent = subprocess.Popen(
        [*program("vault-agent"), "--state", str(state), "backup", "job"],
        env=of_ours(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            return time.perf_counter() - began
    finally:
        agent.kill()
        agent.wait()
