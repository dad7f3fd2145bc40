"""`vaultctl job list|show|run`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.client.output import Output
from tools.vaultctl.commands import job_run

DEFINITION = m.JobDefinition([b"/home/\xff"], ["*.tmp"], True, "30 21 * * *", "daily", 1, 3, False, b"\x80")
JOB = m.JobSummary(
    bytes.fromhex("0b" * 16), "office-1", "documents", DEFINITION, 10**18, True, 7, 10**18, "done", False, None
)
SECOND_NS = 1_000_000_000


def ended_run(outcome: str) -> m.RunSummary:
    return m.RunSummary(bytes.fromhex("1a" * 16), 10**18, 10**18 + 90 * SECOND_NS, outcome, 10, 3, 3_000_000, 1, 8)


RUNNING = m.RunSummary(bytes.fromhex("1a" * 16), 10**18, None, "running", 0, 0, 0, 0, None)


def running(after_seconds: int = 0, **told: Any) -> m.JobRequestAnswer:
    """As the vault answers, with what the agent told so long after the begin of the run."""
    progress = m.RunProgress(**told, time_ns=10**18 + after_seconds * SECOND_NS) if told else None
    return m.JobRequestAnswer("running", RUNNING, progress)


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
    waiting, running = m.JobRequestAnswer("waiting", None, None), m.JobRequestAnswer("running", None, None)
    end = m.JobRequestAnswer(state, ended_run(outcome), None)
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


def test_waiting_shows_files_bytes_speed_and_time_left(
    vault: FakeVault, administrator: Path, run: Run, pauses: list[float]
) -> None:
    told = running(4, files=10, bytes=4_000_000, bytes_total=10_000_000)
    end = m.JobRequestAnswer("done", ended_run("done"), None)
    answer_states(vault, iter([m.JobRequestAnswer("waiting", None, None), running(), told, told, end]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait", "--json")
    assert [json.loads(line) for line in ended.out.splitlines()][:-1] == [
        {"type": "status", "state": "waiting"},
        {"type": "status", "state": "running"},
        {
            "type": "status", "phase": "backing up", "files": 10, "bytes": 4_000_000, "bytes_total": 10_000_000,
            "bytes_per_second": 1_000_000, "remaining_seconds": 6,
        },
    ]  # fmt: skip
    assert ended.json["type"] == "summary"
    assert pauses[1:] == [1, 1, 1]


def test_without_a_terminal_people_see_the_states_only(
    vault: FakeVault, administrator: Path, run: Run, pauses: list[float]
) -> None:
    told = running(4, files=10, bytes=4_000_000, bytes_total=10_000_000)
    answer_states(vault, iter([told, m.JobRequestAnswer("done", ended_run("done"), None)]))
    assert run(administrator, "job", "run", "office-1", "documents", "--wait").err == "the run has begun\n"


def test_what_the_vault_knows_no_more_is_not_shown_on() -> None:
    """Its agent may be gone, and the run with it."""
    shown: list[Any] = []

    class Recorded:
        def began(self, at_seconds: float) -> None:
            shown.append(at_seconds)

        def update(self, figures: Any, at_seconds: float) -> None:
            shown.append((figures.files, figures.bytes, figures.bytes_total, at_seconds))

        def clear(self) -> None:
            shown.append("clear")

    first, second = running(3, files=1, bytes=5, bytes_total=None), running(30, files=2, bytes=8, bytes_total=9)
    end = m.JobRequestAnswer("failed", ended_run("aborted"), None)
    answers = iter([running(), first, first, running(), running(), second, end])
    assert job_run.follow(answers, Output(), Recorded(), "office-1") is end  # type: ignore[arg-type]
    assert shown == [10**9, (1, 5, None, 10**9 + 3), "clear", (2, 8, 9, 10**9 + 30), "clear"]


def test_a_request_that_failed_without_a_run(
    vault: FakeVault, administrator: Path, run: Run, pauses: list[float]
) -> None:
    answer_states(vault, iter([m.JobRequestAnswer("failed", None, None)]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait", "--json")
    assert (ended.exit_code, ended.json) == (1, {"type": "summary", "outcome": "failed"})
    assert pauses == []


def test_pauses_grow_to_a_limit(vault: FakeVault, administrator: Path, run: Run, pauses: list[float]) -> None:
    waiting = [m.JobRequestAnswer("waiting", None, None)] * 20
    answer_states(vault, iter([*waiting, m.JobRequestAnswer("done", ended_run("done"), None)]))
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


def test_options_of_a_later_version_are_shown(vault: FakeVault, administrator: Path, run: Run) -> None:
    definition = msgspec.structs.replace(DEFINITION, options=msgpack.packb({"padding": 4096, "key": b"\x01"}))
    job = msgspec.structs.replace(JOB, definition=definition)
    vault.on("job.show", lambda _: m.JobShowAnswer(job, []))
    shown = run(administrator, "job", "show", "office-1", "documents", "--json").json
    assert shown["definition"]["options"] == {"padding": 4096, "key": "01"}
    lines = run(administrator, "job", "show", "office-1", "documents").out.splitlines()
    assert [line.split() for line in lines if "option" in line][0] == ["option", "padding", "4096"]


def test_a_request_that_was_taken_back(vault: FakeVault, administrator: Path, run: Run, pauses: list[float]) -> None:
    answer_states(vault, iter([m.JobRequestAnswer("waiting", None, None), m.JobRequestAnswer("aborted", None, None)]))
    ended = run(administrator, "job", "run", "office-1", "documents", "--wait", "--json")
    assert (ended.exit_code, ended.json) == (1, {"type": "summary", "outcome": "aborted"})


@pytest.mark.parametrize(
    ("request_", "run_", "text"),
    [
        (True, False, "The request is taken back; nothing had begun.\n"),
        (False, True, "The run is aborted.\n"),
        (True, True, "The run is aborted, and the request that waited behind it taken back.\n"),
    ],
)
def test_cancel_says_what_it_ended(
    vault: FakeVault, administrator: Path, run: Run, request_: bool, run_: bool, text: str
) -> None:
    vault.on("job.cancel", lambda _: m.JobCancelAnswer(request_, run_))
    assert run(administrator, "job", "cancel", "office-1", "documents").out == text
    document = run(administrator, "job", "cancel", "office-1", "documents", "--json").json
    assert document == {"computer": "office-1", "job": "documents", "request": request_, "run": run_}
    assert vault.requests("job.cancel") == [m.JobCancelRequest("office-1", "documents")] * 2


def test_nothing_to_cancel_is_a_conflict(vault: FakeVault, administrator: Path, run: Run) -> None:
    def refuse(_: object) -> msgspec.Struct:
        raise RemoteProtocolError(ErrorCode.conflict, "no run of job 'documents' goes on or is asked for")

    vault.on("job.cancel", refuse)
    assert run(administrator, "job", "cancel", "office-1", "documents").exit_code == 6


def test_remove(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("job.remove", lambda _: m.JobRemoveAnswer(10**18))
    ended = run(administrator, "job", "remove", "office-1", "documents", "--json")
    document = {"computer": "office-1", "job": "documents", "removed": "2001-09-09T01:46:40.000000Z"}
    assert (ended.exit_code, ended.json) == (0, document)
    assert "Its safesets stay" in run(administrator, "job", "remove", "office-1", "documents").out
    assert {(request.computer, request.job) for request in vault.requests("job.remove")} == {("office-1", "documents")}


def test_a_removed_one_is_shown_as_that(vault: FakeVault, administrator: Path, run: Run) -> None:
    removed = msgspec.structs.replace(JOB, removed_ns=10**18, keyring_ready=False)
    vault.on("job.list", lambda _: m.JobListAnswer([removed]))
    vault.on("job.show", lambda _: m.JobShowAnswer(removed, []))
    assert "removed 2001-09-09 01:46" in run(administrator, "job", "list", "office-1").out
    assert "removed 2001-09-09 01:46" in run(administrator, "job", "show", "office-1", "documents").out
    assert run(administrator, "job", "show", "office-1", "documents", "--json").json["removed"] is not None
