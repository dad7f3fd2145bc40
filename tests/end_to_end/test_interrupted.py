"""SIGINT and SIGTERM in the middle of work: one sentence, exit 130, the run is over and no half file is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, Site, environment

SOON_SECONDS = 30
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def busy(site: Site, tmp_path: Path) -> Site:
    """A job whose backup takes minutes and little disk, and one whose restore is not done at once."""
    site.create_account("acme")
    site.register("acme", "pc")
    long, short = tmp_path / "long", tmp_path / "short"
    for directory in (long, short):
        directory.mkdir()
    with (long / "zeros").open("wb") as zeros:
        zeros.truncate(100_000_000_000)
    (short / "random").write_bytes(os.urandom(128 << 20))
    site.create_job("acme", "pc", "long", long)
    site.create_job("acme", "pc", "short", short)
    return site


def start(site: Site, *words: object) -> subprocess.Popen[str]:
    """The agent, in the middle of its work: it has told how far it is."""
    agent = subprocess.Popen(
        [sys.executable, "-m", "tools.agent", "--state", str(site.state("pc")), *map(str, words), "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    assert '"type": "status"' in agent.stdout.readline()
    return agent


def end(agent: subprocess.Popen[str], number: signal.Signals) -> None:
    begin = time.monotonic()
    agent.send_signal(number)
    _, error = agent.communicate(timeout=SOON_SECONDS)
    assert (agent.returncode, error) == (130, "error: interrupted\n"), time.monotonic() - begin


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_backup_ends_its_run(busy: Site, number: signal.Signals) -> None:
    end(start(busy, "backup", "long"), number)
    shown = busy.run_administrator("acme", "job", "show", "pc", "long").last
    assert [run["outcome"] for run in shown["runs"]] == ["aborted"]


def test_an_interrupted_backup_does_not_wait_for_a_vault_that_hangs(busy: Site) -> None:
    agent = start(busy, "backup", "long")
    assert busy.daemon is not None
    busy.daemon.send_signal(signal.SIGSTOP)
    try:
        end(agent, signal.SIGTERM)
    finally:
        busy.daemon.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_restore_leaves_no_half_file(busy: Site, tmp_path: Path, number: signal.Signals) -> None:
    busy.backup("pc", "short")
    target = tmp_path / "back"
    agent = start(busy, "restore", "short", "--target", target, "--password-file", busy.password("short"))
    end(agent, number)
    assert [path for path in target.rglob("*") if path.is_file()] == []
