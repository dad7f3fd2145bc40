"""Links that are cut, a vault that dies, an agent that is killed or sleeps: the run goes on, and nothing goes twice."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, SLOWLY, Done, Site, differences, environment, restored
from tests.end_to_end.cut_link import cut_link
from tests.support.trees import write_tree

MIB = 1 << 20
# The real program, with short pauses, small batches, and a provisional safeset whenever something is new.
PROGRAM = """
import sys
from tools.agent.scan import batch
from tools.agent.vault import lost_connection
from tools.agent.run import pace
lost_connection.Patience.__init__.__defaults__ = ((0.05,) * {tries},)
pace.Pace.__init__.__defaults__ = (pace.MEMORY_BUDGET_BYTES, {provisional_seconds})
batch.BATCH_BYTES = 1 << 20
from tools.agent.__main__ import main
sys.exit(main())
"""

# The real program, whose scan has found everything and ends when a file is there and three more reports had their end.
HELD = """
import sys
import time
from pathlib import Path
from tools.agent.run import pipeline
from tools.agent.scan.scan import Scanner
from tools.client.session import VaultSession
pipeline.REPORT_SECONDS = 0.05
reports, real_ask, real_batch = [], VaultSession.ask, Scanner.next_batch
async def ask(session, method, *rest):
    try:
        return await real_ask(session, method, *rest)
    finally:
        if method == "run.progress":
            reports.append(method)
def next_batch(scanner):
    batch = real_batch(scanner)
    if batch is None:
        Path({held!r}).touch()
        while not Path({go_on!r}).exists():
            time.sleep(0.01)
        enough = len(reports) + 3
        while len(reports) < enough:
            time.sleep(0.01)
    return batch
VaultSession.ask, Scanner.next_batch = ask, next_batch
from tools.agent.__main__ import main
sys.exit(main())
"""


def program(tries: int = 100, provisional_seconds: float = 1e9) -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(tries=tries, provisional_seconds=provisional_seconds)]


@pytest.fixture
def busy(site: Site) -> Site:
    site.create_account("acme")
    return site


def register(site: Site, url: str) -> None:
    code = site.run_administrator("acme", "computer", "invite").last["code"]
    done = site.run_agent("pc", "register", url, "--code", code, "--name", "pc")
    assert done.exit_code == 0, done.error


def start(site: Site, *words: str, slowly: bool = False) -> "subprocess.Popen[str]":
    before = SLOWLY if slowly else []
    return subprocess.Popen(
        [*before, *words, "--state", str(site.state("pc")), "backup", "long", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(agent: "subprocess.Popen[str]") -> Done:
    output, error = agent.communicate(timeout=200)
    return Done(agent.returncode, [json.loads(line) for line in output.splitlines()], error)


def write_source(tmp_path: Path) -> Path:
    source = write_tree(tmp_path / "source", small_files=400)
    for number in range(20):
        (source / f"large-{number:02d}").write_bytes(os.urandom(MIB))
    return source


def runs(site: Site) -> list[Any]:
    shown: list[Any] = site.run_administrator("acme", "job", "show", "pc", "long").last["runs"]
    return shown


@pytest.mark.parametrize("seed", [1, 2])
def test_a_link_that_is_cut_at_any_byte_costs_no_safeset(busy: Site, tmp_path: Path, seed: int) -> None:
    source = write_source(tmp_path)
    chosen = random.Random(seed)
    with cut_link(busy.url) as link:
        register(busy, link.url)
        busy.create_job("acme", "pc", "long", source)
        # From the run's first upload on: a vault that was never reached is another sentence.
        first = link.passed_bytes + MIB
        link.cuts = sorted(chosen.randrange(first, first + 18 * MIB) for _ in range(12))
        done = end(start(busy, *program()))
        assert done.exit_code == 0, done.error
        assert len(link.cut_at) == 12
        assert "the run went on" in done.error
        assert [run["outcome"] for run in runs(busy)] == ["done"]
        busy.restore("pc", "long", tmp_path / "back")
    assert differences(source, restored(tmp_path / "back", source)) == []
    assert done.last["uploaded_bytes"] < done.last["protected_bytes"]


@pytest.mark.parametrize("kills_vault", [False, True], ids=["cut", "killed"])
def test_a_connection_lost_in_a_scan_with_nothing_new_costs_no_second_scan(
    busy: Site, tmp_path: Path, kills_vault: bool
) -> None:
    source = tmp_path / "source"
    for number in range(20):  # no files: those that are just written would be read again
        (source / f"directory-{number}").mkdir(parents=True)
    held, go_on = tmp_path / "held", tmp_path / "go-on"
    with cut_link(busy.url) as link:
        register(busy, link.url)
        busy.create_job("acme", "pc", "long", source)
        busy.backup("pc", "long")
        agent = start(busy, sys.executable, "-c", HELD.format(held=str(held), go_on=str(go_on)))
        while not held.exists():
            assert agent.poll() is None
        if kills_vault:
            busy.kill()
            busy.start()
        else:
            link.cut()
        go_on.touch()
        done = end(agent)
        assert done.exit_code == 0, done.error
        assert "the run went on" not in done.error, done.error
        assert {run["outcome"] for run in runs(busy)} == {"done"}
        busy.restore("pc", "long", tmp_path / "back")
    assert differences(source, restored(tmp_path / "back", source)) == []


def test_a_vault_that_is_killed_and_started_again_is_waited_for(busy: Site, tmp_path: Path) -> None:
    source = write_source(tmp_path)
    register(busy, busy.url)
    busy.create_job("acme", "pc", "long", source)
    agent = start(busy, *program(), slowly=True)
    assert agent.stdout is not None
    agent.stdout.readline()
    busy.kill()
    busy.start()
    done = end(agent)
    assert done.exit_code == 0, done.error
    assert [run["outcome"] for run in runs(busy)] == ["done"]
    busy.restore("pc", "long", tmp_path / "back")
    assert differences(source, restored(tmp_path / "back", source)) == []


def test_a_vault_that_stays_away_is_one_clear_error(busy: Site, tmp_path: Path) -> None:
    source = write_source(tmp_path)
    register(busy, busy.url)
    busy.create_job("acme", "pc", "long", source)
    agent = start(busy, *program(tries=2), slowly=True)
    assert agent.stdout is not None
    agent.stdout.readline()
    busy.kill()
    done = end(agent)
    assert done.exit_code == 8
    assert (done.last["type"], done.last["code"]) == ("error", "unreachable")
    assert "2 tries did not bring it back" in done.last["message"]
    assert "goes on with what was acknowledged" in done.last["hint"]
    busy.start()
    busy.backup("pc", "long")


def test_a_killed_agent_leaves_what_can_be_restored_and_goes_on(busy: Site, tmp_path: Path) -> None:
    source = write_source(tmp_path)
    register(busy, busy.url)
    busy.create_job("acme", "pc", "long", source)
    agent = start(busy, *program(provisional_seconds=0), slowly=True)
    while not busy.run_agent("pc", "safesets", "long").lines[0]:
        assert agent.poll() is None
    agent.send_signal(signal.SIGKILL)
    agent.communicate()
    # The next one may have taken its place before the end.
    number = busy.run_agent("pc", "safesets", "long").lines[0][-1]["number"]
    done = busy.run_agent(
        "pc", "restore", "long", "--safeset", number, "--target", tmp_path / "early",
        "--password-file", busy.password("long"),
    )  # fmt: skip
    assert (done.exit_code, "provisional" in done.error) == (3, True)
    early = restored(tmp_path / "early", source)
    found = [path for path in early.rglob("*") if path.is_file()]
    assert found
    assert all(path.read_bytes() == (source / path.relative_to(early)).read_bytes() for path in found)
    busy.backup("pc", "long")
    assert [run["outcome"] for run in runs(busy)] == ["done"]
    busy.restore("pc", "long", tmp_path / "back")
    assert differences(source, restored(tmp_path / "back", source)) == []


def test_an_agent_that_slept_while_its_vault_gave_it_up_goes_on(busy: Site, tmp_path: Path) -> None:
    """As a laptop does that is closed for a day: its connections are gone when it wakes, and nobody told it."""
    source = write_source(tmp_path)
    with cut_link(busy.url) as link:
        register(busy, link.url)
        busy.create_job("acme", "pc", "long", source)
        agent = start(busy, *program(), slowly=True)
        assert agent.stdout is not None
        agent.stdout.readline()
        agent.send_signal(signal.SIGSTOP)
        link.cut()
        busy.stop()
        busy.start()
        agent.send_signal(signal.SIGCONT)
        done = end(agent)
        assert done.exit_code == 0, done.error
        busy.restore("pc", "long", tmp_path / "back")
    assert differences(source, restored(tmp_path / "back", source)) == []
