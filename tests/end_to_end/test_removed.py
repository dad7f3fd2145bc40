"""A job or a computer is removed while its agent is at work: one sentence, the run is over, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Done, Site, differences, environment, restored
from tests.support.trees import write_long_tree, write_tree
from tools.client.session import Endpoint, VaultSession, connect

SOON_SECONDS = 60


@pytest.fixture
def old_tree(tmp_path: Path) -> Path:
    """As it was when the first safeset was made."""
    return write_tree(tmp_path / "as-it-was", small_files=30)


@pytest.fixture
def growing(site: Site, tmp_path: Path, old_tree: Path) -> Site:
    """The job `all` of the computer `pc` has a safeset, and a second run would last."""
    site.create_account("acme")
    site.register("acme", "pc")
    site.register("acme", "other")
    subprocess.run(["cp", "-a", old_tree, tmp_path / "tree"], check=True)
    site.create_job("acme", "pc", "all", tmp_path / "tree")
    site.backup("pc", "all")
    write_long_tree(tmp_path / "tree" / "more")
    return site


@contextmanager
def busy_agent(site: Site) -> Iterator[subprocess.Popen[str]]:
    """In the middle of its work: it has told how far it is, and stands still until `end_of`."""
    agent = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), "backup", "all", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    try:
        assert '"type": "status"' in agent.stdout.readline()
        agent.send_signal(signal.SIGSTOP)
        yield agent
    finally:
        agent.kill()
        agent.wait()


def end_of(agent: subprocess.Popen[str]) -> tuple[int, Any, str]:
    agent.send_signal(signal.SIGCONT)
    out, error = agent.communicate(timeout=SOON_SECONDS)
    return agent.returncode, json.loads(out.splitlines()[-1]), error


def restore_from(site: Site, computer: str, old_tree: Path, target: Path, *words: object) -> list[str]:
    """What differs from the tree as it was."""
    site.restore(computer, "all", target, *words)
    return differences(old_tree, restored(target, site.directory / "tree"))


def test_a_job_that_is_removed_in_the_middle_of_its_run(growing: Site, old_tree: Path, tmp_path: Path) -> None:
    with busy_agent(growing) as agent:
        removed = growing.run_administrator("acme", "job", "remove", "pc", "all")
        assert (removed.exit_code, removed.last["job"]) == (0, "all")
        exit_code, last, error = end_of(agent)
    assert exit_code == 4
    assert (last["type"], last["code"], last["message"]) == ("error", "not_found", "job 'all' was removed")
    assert error == f"error: {last['message']}\nhint: {last['hint']}\n"
    shown = growing.run_administrator("acme", "job", "show", "pc", "all").last
    assert (shown["removed"], [run["outcome"] for run in shown["runs"]]) == (
        removed.last["removed"],
        ["aborted", "done"],
    )
    again = growing.run_agent("pc", "backup", "all")
    assert (again.exit_code, again.last["code"]) == (4, "not_found")
    assert restore_from(growing, "pc", old_tree, tmp_path / "here") == []
    growing.grant("acme", "pc", "all", "other")
    assert restore_from(growing, "other", old_tree, tmp_path / "there", "--computer", "pc") == []


def test_a_computer_that_is_removed_in_the_middle_of_a_run(growing: Site, old_tree: Path, tmp_path: Path) -> None:
    with busy_agent(growing) as agent:
        assert growing.run_administrator("acme", "computer", "remove", "pc").exit_code == 0
        exit_code, last, error = end_of(agent)
    assert (exit_code, last.get("code")) == (5, "not_signed_in"), (last, error)
    assert last["message"] == "this computer was removed"
    assert error == f"error: {last['message']}\nhint: {last['hint']}\n"
    for words in (["backup", "all"], ["safesets", "all"], ["status"]):
        refused = growing.run_agent("pc", *words)
        assert refused.exit_code == 5, words
        assert refused.error.startswith("error: this computer was removed\nhint: its safesets are kept"), words
    (computer,) = [one for one in growing.run_administrator("acme", "computer", "list").last if one["name"] == "pc"]
    assert computer["removed"] is not None
    growing.grant("acme", "pc", "all", "other")
    assert restore_from(growing, "other", old_tree, tmp_path / "there", "--computer", "pc") == []


def test_what_was_removed_stays_removed_in_a_rebuild(growing: Site, old_tree: Path, tmp_path: Path) -> None:
    growing.run_administrator("acme", "computer", "remove", "pc")
    growing.stop()
    for name in ("index", "catalog"):
        shutil.rmtree(growing.vault / name)
    assert growing._must("vaultd", "rebuild", growing.vault).exit_code == 0
    assert growing.check().exit_code == 0
    growing.start()
    refused = growing.run_agent("pc", "backup", "all")
    assert (refused.exit_code, refused.last["message"]) == (5, "this computer was removed")
    growing.grant("acme", "pc", "all", "other")
    assert restore_from(growing, "other", old_tree, tmp_path / "there", "--computer", "pc") == []


async def test_a_connection_that_was_open_is_refused_too(site: Site) -> None:
    site.create_account("acme")
    for name in ("pc", "other"):
        site.register("acme", name)
    async with connect(endpoint(site, "pc"), "test") as mine, connect(endpoint(site, "other"), "test") as other:
        for session in (mine, other):
            await session.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
        with pytest.raises(RemoteProtocolError, match="this ticket is unknown"):  # on a connection of its own
            await fetch(mine)
        assert (await trio.to_thread.run_sync(lambda: remove(site, "pc"))).exit_code == 0
        for _ in range(2):
            with pytest.raises(RemoteProtocolError, match="this computer was removed") as refused:
                await mine.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
            assert refused.value.code is ErrorCode.not_signed_in
        progress = m.RunProgressRequest(bytes(16), 0, 0, None)
        with pytest.raises(RemoteProtocolError, match="this computer was removed"):  # before any run is looked for
            await mine.ask("run.progress", progress, m.RunProgressAnswer)
        with pytest.raises(RemoteProtocolError, match="this computer was removed"):
            await fetch(mine)
        await other.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
    with pytest.raises(RemoteProtocolError, match="this computer was removed"):
        async with connect(endpoint(site, "pc"), "test"):
            pass


async def fetch(session: VaultSession) -> None:
    async with session.call("chunk.fetch") as call:
        await call.send(m.ChunkFetchRequest(bytes(16)), bytes(32))
        await call.end()
        await call.receive(m.FetchBatch)


def remove(site: Site, computer: str) -> Done:
    return site.run_administrator("acme", "computer", "remove", computer)


def endpoint(site: Site, computer: str) -> Endpoint:
    state = site.state(computer)
    identity = json.loads((state / "identity.json").read_text())
    return Endpoint(site.url, identity["authority_pem"], None, str(state / "agent.crt"), str(state / "agent.key"))
