"""A thief takes the agent: neither its files nor its memory hold what opens an earlier safeset.

The secrets that are searched for are known from the password, by the independent reader; a planted one proves the
search.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Site, environment
from tests.independent.reader.recovery_code import parse_recovery_code
from tests.independent.reader.restore import open_keyrings
from tests.independent.reader.run_key import open_run_key
from tests.independent.reader.slot import stretch
from tests.independent.reader.store import open_store
from tests.support.trees import write_tree

PIECE_BYTES = 1 << 22


@dataclass(frozen=True)
class Stolen:
    site: Site
    secrets: dict[str, bytes]


@pytest.fixture
def stolen(site: Site, tmp_path: Path) -> Stolen:
    tree = write_tree(tmp_path / "tree", small_files=10)
    site.create_account("acme")
    site.register("acme", "pc")
    code = site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    site.backup("pc", "all")
    site.stop()
    secrets = secrets_of(site, code)
    assert len(secrets) == 8
    return Stolen(site, secrets)


def secrets_of(site: Site, code: str) -> dict[str, bytes]:
    """Of the job `all` of a vault that is down; `code` is its recovery code."""
    password = site.password("all").read_text().strip()
    store = open_store(site.vault)
    (opened,) = open_keyrings(store, password)
    raw_code = parse_recovery_code(code)
    secrets = {"password": password.encode(), "recovery code": code.encode(), "recovery code, raw": raw_code}
    for generation in opened.keyring.generations.values():
        secrets["private key, ML-KEM part"] = generation.private_key[:64]
        secrets["private key, X25519 part"] = generation.private_key[64:]
        for key_id, sealed in store.found.run_keys.items():
            secrets[f"run key {key_id.hex()}"] = open_run_key(sealed, generation)
    for slot in store.found.slots.values():
        if slot.kind == 1:
            secrets["opening key"] = stretch(slot, password)[:32]
    return secrets


def found_in_files(directory: Path, secrets: dict[str, bytes]) -> set[str]:
    """Raw, and as hexadecimal text."""
    found = set()
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found |= {name for name, value in secrets.items() if value in data or value.hex().encode() in data.lower()}
    return found


def memory_pieces(pid: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for place in range(start, end, PIECE_BYTES):
                memory.seek(place)
                try:
                    yield memory.read(min(PIECE_BYTES + 128, end - place))
                except OSError:
                    break


def found_in_memory(pid: int, secrets: dict[str, bytes]) -> set[str]:
    found: set[str] = set()
    for piece in memory_pieces(pid):
        found |= {name for name, value in secrets.items() if value in piece}
    return found


def test_the_files_of_an_agent_open_nothing(stolen: Stolen) -> None:
    state = stolen.site.state("pc")
    assert found_in_files(state, stolen.secrets) == set()
    for name, value in stolen.secrets.items():
        planted = state / "planted"
        planted.write_bytes(os.urandom(77) + value + os.urandom(77))
        assert found_in_files(state, stolen.secrets) == {name}
        planted.unlink()


def test_the_memory_of_an_idle_agent_opens_nothing(stolen: Stolen) -> None:
    """Idle: it has loaded its state and waits for a vault that accepts the connection and says nothing."""
    host, port = urlsplit(stolen.site.url).netloc.rsplit(":", 1)
    with socket.create_server((host, int(port)), reuse_port=False) as listener:
        agent = subprocess.Popen(
            [sys.executable, "-m", "tools.agent", "--state", str(stolen.site.state("pc")), "backup", "all"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = listener.accept()
            os.kill(agent.pid, signal.SIGSTOP)
            assert found_in_memory(agent.pid, stolen.secrets) == set()
            assert found_in_memory(agent.pid, {"a path of its state": b"/pc.state"}) == {"a path of its state"}
            connection.close()
        finally:
            agent.kill()
            agent.wait()


def test_the_memory_of_an_agent_that_made_the_keyring_does_not_hold_it(site: Site, long_tree: Path) -> None:
    """Its first run, which takes a while: the keyring was made at its begin. Only the key of this run is there."""
    site.create_account("acme")
    site.register("acme", "pc")
    code = site.create_job("acme", "pc", "all", long_tree)
    agent = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), "backup", "all", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert agent.stdout is not None
        assert '"type": "status"' in agent.stdout.readline()
        os.kill(agent.pid, signal.SIGSTOP)
        site.stop()
        found = found_in_memory(agent.pid, secrets_of(site, code))
        assert [name.split()[:2] for name in found] == [["run", "key"]]
    finally:
        agent.kill()
        agent.communicate()


def test_the_search_of_memory_finds_a_planted_key(stolen: Stolen) -> None:
    code = "import sys; kept = bytes.fromhex(sys.stdin.readline()); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(stolen.secrets["private key, X25519 part"].hex() + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ready\n"
        assert found_in_memory(child.pid, stolen.secrets) == {"private key, X25519 part"}
    finally:
        child.kill()
        child.communicate()


def test_a_stolen_agent_restores_nothing(stolen: Stolen, tmp_path: Path) -> None:
    stolen.site.start()
    shutil.copytree(stolen.site.state("pc"), stolen.site.state("thief"))
    guess = tmp_path / "guess"
    guess.write_text("a guess of the thief\n")
    guess.chmod(0o600)
    done = stolen.site.run_agent("thief", "restore", "all", "--target", tmp_path / "loot", "--password-file", guess)
    assert done.exit_code == 12
