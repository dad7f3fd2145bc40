"""`vaultctl job list|show|run`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.vaultctl.commands import job_run

DEFINITION = m.JobDefinition([b"/home/\xff"], ["*.tmp"], True, "30 21 * * *", "daily", 1, 3, False)
JOB = m.JobSummary(
    bytes.fromhex("0b" * 16), "office-1", "documents", DEFINITION, 10**18, True, 7, 10**18, "done", False
)
SECOND_NS = 1_000_000_000


def ended_run(outcome: str) -> m.RunSummary:
    return m.RunSummary(bytes.fromhex("1a" * 16), 10**18, 10**18 + 90 * SECOND_NS, outcome, 10, 3, 3_000_000, 1, 8)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(job_run.time, "sleep", found.append)
    return found


def answer_states(vault: FakeVault, states: Iterator[m.JobRequestAnswer]) -> None:
    vault.on("job.run", lambda _: m.JobRunAnswer(5))
    vault.on("job.request", lambda _: next(states))


def test_list(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("job.list", lambda _: m.JobListAnswer([JOB]))
    (document,) = run(administrator, "job", "list", "office-1", "--json").json
    assert document["definition"]["include"] == ["/home/\\xff"]
    assert document["definition"]["cipher"] == "aes-256-cbc"
    assert document["head_sequence"] == 7
    assert "documents" in run(administrator, "job", "list", "office-1").out


def test_show(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("job.show", lambda _: m.JobShowAnswer(JOB, [ended_run("warnings")]))
    document = run(administrator, "job", "show", "office-1", "documents", "--json").json
    assert document["runs"][0]["end"] == "2001-09-09T01:48:10.000000Z"
    text = run(administrator, "job", "show", "office-1", "documents").out
    assert "30 21 * * *" in text
    assert "1:30 min" in text


def test_run_without_waiting(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("job.run", lambda _: m.JobRunAnswer(5))
    ended = run(administrator, "job", "run", "office-1", "documents", "--json")
    assert (ended.exit_code, ended.json) == (0, {"computer": "office-1", "job": "documents", "request": 5})


@pytest.mark.parametrize(
    ("state", "outcome", "exit_code"),
    [("done", "done", 0), ("done", "warnings", 3), ("failed", "failed", 1), ("failed", "aborted", 1)],
)
def test_waiting_ends_as_the_run_did(
    vault: FakeVault, administrator: Path, run: Run, pauses: list[float], state: str, outcome: str, exit_code: int
) -> None:
    waiting, running = m.JobRequestAnswer("waiting", None), m.JobRequestAnswer("running", None)
    end = m.JobRequestAnswer(state, ended_run(outcome))
    answer_states(vault, iter([waiting, waiting, running, end]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait", "--json")
    assert ended.exit_code == exit_code
    assert [line.partition(",")[0] for line in ended.out.splitlines()] == [
        '{"type": "status"',
        '{"type": "status"',
        '{"type": "summary"',
    ]
    assert ended.json["outcome"] == outcome
    assert ended.json["sequence"] == 8
    assert [request.request for request in vault.requests("job.request")] == [5] * 4
    assert len(pauses) == 3


def test_a_request_that_failed_without_a_run(
    vault: FakeVault, administrator: Path, run: Run, pauses: list[float]
) -> None:
    answer_states(vault, iter([m.JobRequestAnswer("failed", None)]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait", "--json")
    assert (ended.exit_code, ended.json) == (1, {"type": "summary", "outcome": "failed"})
    assert pauses == []


def test_pauses_grow_to_a_limit(vault: FakeVault, administrator: Path, run: Run, pauses: list[float]) -> None:
    waiting = [m.JobRequestAnswer("waiting", None)] * 20
    answer_states(vault, iter([*waiting, m.JobRequestAnswer("done", ended_run("done"))]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait")
    assert pauses[0] < 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15
    assert ended.err.count("waiting for the agent of office-1") == 1
    assert "3.0 MB" in ended.out


def test_what_does_not_exist(vault: FakeVault, administrator: Path, run: Run) -> None:
    def missing(_: object) -> m.JobShowAnswer:
        raise RemoteProtocolError(ErrorCode.not_found, "there is no job x of computer office-1")

    vault.on("job.show", missing)
    ended = run(administrator, "job", "show", "office-1", "x", "--json")
    assert (ended.exit_code, ended.json["code"], ended.json["hint"]) == (4, "not_found", "")
