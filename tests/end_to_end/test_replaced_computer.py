"""A computer died and another one takes its place: it goes on with the same jobs, safesets and history."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from protocol import messages as m
from protocol.errors import RemoteProtocolError
from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Site, differences, environment, restored
from tests.support.trees import write_tree
from tools.client.session import Endpoint, connect


def invite(site: Site, computer: str, *words: object) -> str:
    done = site.run_administrator("acme", "computer", "invite", "--replace", computer, *words)
    assert done.exit_code == 0, done.error
    code: str = done.last["code"]
    return code


def adopt(site: Site, state: str, job: str = "all") -> dict[str, object]:
    done = site.run_agent(state, "adopt", job, "--password-file", site.password(job))
    assert done.exit_code == 0, done.error
    document: dict[str, object] = done.last
    return document


@pytest.fixture
def replaced(site: Site, tmp_path: Path) -> tuple[Site, Path]:
    """`pc` has made two safesets; `new` is the state of the machine that took its place."""
    tree = write_tree(tmp_path / "tree", small_files=30)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    (tree / "more").write_bytes(b"more")
    site.backup("pc", "all")
    code = invite(site, "pc")
    done = site.run_agent("new", "register", site.url, "--code", code, "--name", "another")
    assert (done.exit_code, done.last["computer"]) == (0, "pc"), done.error
    return site, tree


def test_the_replacement_goes_on_where_the_dead_computer_stopped(replaced: tuple[Site, Path], tmp_path: Path) -> None:
    site, tree = replaced
    shutil.rmtree(tree)
    told = site.run_agent("new", "backup", "all")
    assert (told.exit_code, told.last["code"]) == (6, "conflict")
    assert "vault-agent adopt all" in told.last["hint"]

    done = site.run_agent("new", "restore", "all", "--target", "/", "--password-file", site.password("all"))
    assert done.exit_code == 0, done.error
    assert "vault-agent adopt all" in done.error
    (tree / "new").write_bytes(b"something that the vault does not have")

    assert adopt(site, "new") == {"job": "all", "safeset": 2}
    summary = site.backup("new", "all")
    assert summary["safeset"] == 3
    assert summary["uploaded_bytes"] < 10_000 < summary["bytes_read"]
    (only,) = site.run_administrator("acme", "computer", "list", "--json").last
    assert (only["name"], only["jobs"]) == ("pc", 1)
    for number in (1, 3):
        site.restore("new", "all", tmp_path / str(number), "--safeset", number)
    assert differences(tree, restored(tmp_path / "3", tree)) == []
    assert not (restored(tmp_path / "1", tree) / "more").exists()
    assert site.backup("new", "all")["safeset"] == 4
    site.stop()
    assert site.check().exit_code == 0


def test_a_recovery_code_takes_the_keys_up(site: Site, tmp_path: Path) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    code = site.create_job("acme", "pc", "all", write_tree(tmp_path / "tree", small_files=3))
    site.backup("pc", "all")
    assert site.run_agent("new", "register", site.url, "--code", invite(site, "pc")).exit_code == 0
    file = tmp_path / "code"
    file.touch(0o600)
    file.write_text(code)
    wrong = site.run_agent("new", "adopt", "all", "--password-file", file)
    assert (wrong.exit_code, wrong.last["code"]) == (12, "wrong_password")
    assert not list(site.state("new").rglob("unattended"))
    assert site.run_agent("new", "adopt", "all", "--recovery-code-file", file).exit_code == 0
    assert site.backup("new", "all")["safeset"] == 2
    again = site.run_agent("new", "adopt", "all", "--recovery-code-file", file)
    assert (again.exit_code, again.last["code"]) == (6, "conflict")


def test_the_old_agent_is_refused(replaced: tuple[Site, Path]) -> None:
    site, _ = replaced
    for words in (("backup", "all"), ("safesets", "all")):
        done = site.run_agent("pc", *words)
        assert (done.exit_code, done.last["code"]) == (5, "not_signed_in"), words
        assert done.last["message"] == "another agent took the place of this one: its key is refused from then on"
    assert len(site.run_administrator("acme", "safeset", "list", "pc", "all").last) == 2


async def test_connections_that_the_old_agent_has_open_are_refused_too(site: Site, tmp_path: Path) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", write_tree(tmp_path / "tree", small_files=3))
    site.backup("pc", "all")
    code = invite(site, "pc")
    state = site.state("pc")
    authority = json.loads((state / "identity.json").read_text())["authority_pem"]
    endpoint = Endpoint(site.url, authority, None, str(state / "agent.crt"), str(state / "agent.key"))
    async with connect(endpoint, "test") as old:
        jobs, _ = await old.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
        assert site.run_agent("new", "register", site.url, "--code", code).exit_code == 0
        for name, request, answer in (
            ("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer),
            ("run.begin", m.RunBeginRequest(jobs.jobs[0].job_id, b"r" * 16, None), m.RunBeginAnswer),
            ("safeset.list", m.SafesetListRequest("pc", "all"), m.SafesetListAnswer),
            ("restore.parameters", m.RestoreParametersRequest(None, "all"), m.RestoreParametersAnswer),
        ):
            with pytest.raises(RemoteProtocolError, match="another agent took the place") as refused:
                await old.ask(name, request, answer)  # type: ignore[arg-type]
            assert refused.value.code == "not_signed_in"


def outcome_of_the_run(site: Site) -> str:
    runs = site.run_administrator("acme", "job", "show", "pc", "all").last["runs"]
    return str(runs[0]["outcome"]) if runs else "not begun"


def test_a_run_of_the_old_agent_is_aborted(site: Site, long_tree: Path) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", long_tree)
    code = invite(site, "pc")
    agent = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), "backup", "all", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while (outcome := outcome_of_the_run(site)) != "running":
        assert (outcome, agent.poll()) == ("not begun", None)
    assert site.run_agent("new", "register", site.url, "--code", code).exit_code == 0
    out, _ = agent.communicate()
    assert agent.returncode == 5, out
    assert json.loads(out.splitlines()[-1])["code"] == "not_signed_in"
    assert outcome_of_the_run(site) == "aborted"


def test_a_new_key_is_confirmed_by_a_person(replaced: tuple[Site, Path]) -> None:
    """The context has pinned the dead computer's key: it takes another one only where a person says so again."""
    site, tree = replaced
    job = ("job", "create", "pc", "second", "--include", tree, "--password-file", site.password("second"))
    silent = site.run_administrator("acme", *job)
    assert (silent.exit_code, silent.last["code"]) == (6, "conflict")
    assert "a new agent took the place of pc" in silent.last["message"]
    key = site.run_agent("new", "status").last["agent_key"]
    old_key = json.loads((site.state("pc") / "identity.json").read_text())["agent_key"]
    assert site.run_administrator("acme", *job, "--agent-key", old_key).exit_code == 6
    assert site.run_administrator("acme", *job, "--agent-key", key).exit_code == 0
    context = json.loads(site.context("acme").read_text())
    assert (context["agent_keys"], context["replaced_keys"]) == ({"pc": key}, {})
    assert site.backup("new", "second")["safeset"] == 1
