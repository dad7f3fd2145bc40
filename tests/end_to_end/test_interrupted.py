"""SIGINT and SIGTERM in the middle of work: one sentence, exit 130, the run is over and no half file is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Site, environment
from tests.support.trees import write_tree

SOON_SECONDS = 30
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def busy(site: Site) -> Site:
    site.create_account("acme")
    site.register("acme", "pc")
    return site


GOES_ON = "hint: the same command goes on where it ended\n"


def create_long(site: Site, tree: Path) -> None:
    """A job whose backup takes many seconds."""
    site.create_job("acme", "pc", "long", tree)


def start(site: Site, *words: object) -> subprocess.Popen[str]:
    """The agent, in the middle of its work: it has told how far it is."""
    agent = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), *map(str, words), "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    assert '"type": "status"' in agent.stdout.readline()
    return agent


def end(agent: subprocess.Popen[str], number: signal.Signals, hint: str = "") -> None:
    begin = time.monotonic()
    agent.send_signal(number)
    _, error = agent.communicate(timeout=SOON_SECONDS)
    assert (agent.returncode, error) == (130, f"error: interrupted\n{hint}"), time.monotonic() - begin


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_backup_ends_its_run(busy: Site, long_tree: Path, number: signal.Signals) -> None:
    create_long(busy, long_tree)
    end(start(busy, "backup", "long"), number, GOES_ON)
    shown = busy.run_administrator("acme", "job", "show", "pc", "long").last
    assert [run["outcome"] for run in shown["runs"]] == ["aborted"]


def test_an_interrupted_backup_does_not_wait_for_a_vault_that_hangs(busy: Site, long_tree: Path) -> None:
    create_long(busy, long_tree)
    agent = start(busy, "backup", "long")
    assert busy.daemon is not None
    busy.daemon.send_signal(signal.SIGSTOP)
    try:
        end(agent, signal.SIGTERM, GOES_ON)
    finally:
        busy.daemon.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_restore_leaves_no_half_file(busy: Site, tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "random").write_bytes(os.urandom(128 << 20))
    busy.create_job("acme", "pc", "short", tmp_path / "short")
    busy.backup("pc", "short")
    target = tmp_path / "back"
    agent = start(busy, "restore", "short", "--target", target, "--password-file", busy.password("short"))
    end(agent, number, "hint: run the same restore again: what is whole stays, and the rest comes\n")
    assert [path for path in target.rglob("*") if path.is_file()] == []


def test_an_agent_that_still_connects_is_interrupted_at_once(busy: Site, long_tree: Path) -> None:
    """The vault is gone; in its place somebody accepts and says nothing."""
    create_long(busy, long_tree)
    busy.stop()
    host, port = urlsplit(busy.url).netloc.rsplit(":", 1)
    with socket.create_server((host, int(port))) as listener:
        agent = subprocess.Popen(
            [sys.executable, "-m", "tools.agent", "--state", str(busy.state("pc")), "backup", "long"],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = listener.accept()
        end(agent, signal.SIGTERM, GOES_ON)
        connection.close()


def test_a_reader_that_has_enough_ends_a_listing_quietly(busy: Site, tmp_path: Path) -> None:
    busy.create_job("acme", "pc", "short", write_tree(tmp_path / "short", small_files=2_000))
    busy.backup("pc", "short")
    listing = subprocess.Popen(
        [
            sys.executable, "-m", "tools.agent", "--state", str(busy.state("pc")), "ls", "short",
            "--password-file", str(busy.password("short")),
        ],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == ""
    assert listing.returncode == 1
