"""`vaultctl safeset restore`, `restores`, `cancel-restore`: what is sealed, what is sent, what is said, how it ends."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import ACCOUNT_ID, CREATOR, Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.fingerprint import fingerprint_text
from tools.client.job_definition import JobAddress
from tools.client.job_secret import open_restore_order
from tools.client.restore_order import RestoreOrder
from tools.vaultctl import polling
from tools.vaultctl.commands import restore as restore_command

SECOND_NS, DAY_NS = 10**9, 24 * 3600 * 10**9
PASSWORD = "correct horse battery"
JOB_ID, COMPUTER_ID = b"j" * 16, b"c" * 16
DEFINITION = m.JobDefinition([b"/home"], [], False, "", "", 1, 3, False, b"\x80")
JOB = m.JobSummary(JOB_ID, "office-1", "documents", DEFINITION, 10**18, True, 7, None, "", False, None)
WAITING = m.RestoreOrderSummary(
    3, "office-1", "documents", "office-1", "waiting", 10**18, 10**18 + DAY_NS, None, None, None, "", 0, 0, 0, 0
)
RUNNING = msgspec.structs.replace(WAITING, state="running", begin_ns=10**18 + SECOND_NS)
DONE = msgspec.structs.replace(
    RUNNING, state="done", end_ns=10**18 + 3 * SECOND_NS, exit_code=0, files=12, bytes=3_000_000, left=4
)
SAFESETS = [
    m.SafesetSummary(number, 10**18, number != 9, 9, 1000, 10, "", 10**18, None, None, None, False, bytes(32))
    for number in (1, 7, 8, 9)
]


@pytest.fixture(scope="module")
def agent() -> AgentKey:
    return create_agent_key()


@pytest.fixture
def asked(vault: FakeVault, agent: AgentKey, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A vault with the computers and the job; the pauses of whoever waits."""

    def show(request: m.ComputerShowRequest) -> m.ComputerShowAnswer:
        summary = m.ComputerSummary(COMPUTER_ID, request.computer, "pc", 10**18, None, "", 1, None)
        return m.ComputerShowAnswer(summary, agent.spki, agent.sealing_public, [])

    vault.on("computer.show", show)
    vault.on("job.show", lambda _: m.JobShowAnswer(JOB, []))
    vault.on("safeset.list", lambda _: m.SafesetListAnswer(SAFESETS, None))
    vault.on("restore.order", lambda _: m.RestoreOrderAnswer(WAITING, True))
    pauses: list[float] = []
    monkeypatch.setattr(restore_command.time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return ["safeset", "restore", "office-1", "documents", "--password-file", str(path), "--trust-agent-key"]


def states(vault: FakeVault, *orders: m.RestoreOrderSummary, progress: m.RunProgress | None = None) -> None:
    answers: Iterator[m.RestoreOrderSummary] = iter(orders)
    vault.on("restore.state", lambda _: m.RestoreStateAnswer(next(answers), True, progress))


def opened(vault: FakeVault, agent: AgentKey) -> RestoreOrder:
    (request,) = vault.requests("restore.order")
    address = JobAddress(ACCOUNT_ID, COMPUTER_ID, JOB_ID)
    return open_restore_order(request.message, address, agent, CREATOR.fingerprint).order


@pytest.mark.usefixtures("asked")
def test_an_order_is_sealed_to_the_agent(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent: AgentKey
) -> None:
    before = time.time_ns()
    ended = run(
        administrator, *words, "--target", "/back", "--safeset", "7", "--path", "/home/a", "--path", "/b",
        "--overwrite", "newer",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.err
    assert ended.out == (
        "Restore 3 of job documents of office-1 on office-1 is ordered: `vaultctl safeset restores` shows it.\n"
    )
    (request,) = vault.requests("restore.order")
    assert (request.computer, request.job, request.to) == ("office-1", "documents", None)
    order = opened(vault, agent)
    assert (order.computer, order.job, order.sequence, order.paths) == (None, "documents", 7, (b"/home/a", b"/b"))
    assert (order.target, order.overwrite, order.password) == (b"/back", "newer", PASSWORD)
    assert before <= order.created_ns <= time.time_ns()
    assert order.expires_ns - order.created_ns == DAY_NS
    assert PASSWORD.encode() not in request.message
    assert json.loads(administrator.read_text())["agent_keys"] == {"office-1": fingerprint_text(agent.fingerprint)}


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("to", "owner"), [("office-2", "office-1"), ("OFFICE-1", None)])
def test_on_another_computer(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent: AgentKey, to: str, owner: str | None
) -> None:
    assert run(administrator, *words, "--target", "/", "--to", to).exit_code == 0
    assert [request.computer for request in vault.requests("computer.show")] == [to]
    order = opened(vault, agent)
    assert (order.computer, order.sequence, order.paths, order.target) == (owner, 8, (), b"/"), (
        "the newest complete one"
    )


@pytest.mark.usefixtures("asked")
def test_a_service_that_is_not_connected_is_told(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    vault.on("restore.order", lambda _: m.RestoreOrderAnswer(WAITING, False))
    ended = run(administrator, *words, "--target", "/back")
    assert ended.out.splitlines()[1] == (
        "The service of office-1 is not connected: the order waits for it until 2001-09-10 01:46:40 UTC."
    )
    shown = run(administrator, *words, "--target", "/back", "--json").json
    assert shown == {
        "restore": 3, "computer": "office-1", "job": "documents", "to": "office-1", "safeset": 8, "connected": False,
        "expires": "2001-09-10T01:46:40.000000Z",
    }  # fmt: skip
    states(vault, DONE)
    assert "not connected" in run(administrator, *words, "--target", "/back", "--wait").err


def test_who_waits_sees_progress_and_the_end(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], asked: list[float]
) -> None:
    states(vault, WAITING, WAITING, RUNNING, DONE, progress=m.RunProgress(5, 100, 900, 10**18 + 2 * SECOND_NS))
    ended = run(administrator, *words, "--target", "/back", "--wait", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["state"] for line in lines if "state" in line] == ["waiting", "waiting", "running", "done"]
    (progress,) = [line for line in lines if line.get("phase") == "restoring"]
    assert (progress["files"], progress["bytes"], progress["bytes_total"]) == (5, 100, 900)
    summary = lines[-1]
    assert (summary["type"], summary["files"], summary["bytes"], summary["left"]) == ("summary", 12, 3_000_000, 4)
    assert (summary["seconds"], summary["warnings"], summary["number"]) == (2.0, 0, 3)
    assert (summary["safeset"], summary["safeset_time"]) == (8, "2001-09-09T01:46:40.000000Z")
    assert asked == [polling.POLL_FIRST_SECONDS, polling.POLL_FIRST_SECONDS * polling.POLL_GROWTH, 1.0]
    states(vault, DONE)
    text = run(administrator, *words, "--target", "/back", "--wait").out
    assert "3.0 MB" in text
    assert "8 of 2001-09-09 01:46" in text


def ended_as(state: str, exit_code: int | None, code: str = "") -> m.RestoreOrderSummary:
    return msgspec.structs.replace(DONE, state=state, exit_code=exit_code, code=code)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("end", "exit_code", "words_of_it"),
    [
        (ended_as("done", 0), 0, ""),
        (ended_as("warnings", 3), 3, ""),
        (ended_as("failed", 12, "wrong_password"), 12, "the password does not open this job"),
        (ended_as("failed", 4, "not_found"), 4, "no such safeset"),
        (ended_as("failed", 7, "no_space"), 7, "too little room"),
        (ended_as("failed", 9, "damaged"), 9, "damage was found"),
        (ended_as("failed", 5, "not_allowed"), 5, "may not restore"),
        (ended_as("failed", 2, "usage"), 2, "the target cannot be used"),
        (ended_as("failed", 1, "strange"), 1, "strange"),
        (ended_as("refused", 5, "forged"), 5, "its creator did not give this order"),
        (ended_as("refused", 5, "expired"), 5, "too late"),
        (ended_as("refused", 5, "early"), 5, "clock"),
        (ended_as("refused", 5, "repeated"), 5, "another order with this id"),
        (ended_as("refused", 5, "strange"), 5, "strange"),
        (ended_as("cancelled", None), 1, "restore 3 was cancelled"),
        (ended_as("expired", None), 1, "not carried out to its end within its day"),
    ],
)
def test_the_end_is_that_of_the_restore(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], end: Any, exit_code: int, words_of_it: str
) -> None:
    states(vault, end)
    ended = run(administrator, *words, "--target", "/back", "--wait", "--json")
    assert (ended.exit_code, ended.json["type"]) == (exit_code, "error" if words_of_it else "summary")
    assert words_of_it in ended.err
    if words_of_it:
        assert ended.json["restore"]["state"] == end.state


@pytest.mark.usefixtures("asked")
def test_ctrl_c_says_that_the_order_stays(vault: FakeVault, administrator: Path, run: Run, words: list[str]) -> None:
    def interrupt(_: object) -> m.RestoreStateAnswer:
        raise KeyboardInterrupt

    vault.on("restore.state", interrupt)
    ended = run(administrator, *words, "--target", "/back", "--wait")
    assert ended.exit_code == 130
    assert "restore 3 stays ordered" in ended.err
    assert "`vaultctl safeset cancel-restore 3`" in ended.err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--target", "back"), "--target back is no absolute path"),
        (("--target", "/back", "--path", "etc/hosts"), "--path etc/hosts is no absolute path"),
        (("--target", ""), "a --target is empty"),
        (("--target", "/b", "--path", ""), "a --path is empty"),
        (("--target", "/b", "--path", "/" + "x" * 4096), "longer than 4096 bytes"),
        (("--target", "/b", *["--path", "/a"] * 1001), "--path is given 1001 times"),
        (("--target", "/b", "--safeset", "0"), "--safeset is a number"),
        (("--target", "/b", "--safeset", "newest"), "--safeset is a number"),
        (("--target", "/b", "--agent-key", "x"), "exclude each other"),
    ],
)
def test_what_can_be_refused_before_anything_is_asked(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], more: tuple[str, ...], sentence: str
) -> None:
    ended = run(administrator, *words, *more)
    assert (ended.exit_code, vault.asked) == (2, [])
    assert sentence in ended.err


@pytest.mark.usefixtures("asked")
def test_too_many_paths_are_told_in_one_sentence(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    paths = [word for number in range(40) for word in ("--path", f"/{number}" + "x" * 2000)]
    ended = run(administrator, *words, "--target", "/b", *paths)
    assert ended.exit_code == 2
    assert "bytes with its paths, 65536 are taken" in ended.err
    assert vault.requests("restore.order") == []


@pytest.mark.usefixtures("asked")
def test_another_key_than_the_pinned_one_gets_no_password(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    document = json.loads(administrator.read_text())
    other = fingerprint_text(create_agent_key().fingerprint)
    administrator.write_text(json.dumps(document | {"agent_keys": {"office-1": other}}))
    assert run(administrator, *words, "--target", "/b").exit_code == 6
    assert run(administrator, *words[:-1], "--to", "office-2", "--target", "/b").exit_code == 2  # nobody confirmed it
    assert vault.requests("restore.order") == []


@pytest.mark.usefixtures("asked")
def test_a_lost_answer_is_asked_for_again_and_what_is_unknown_is_said(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    losses = [1]

    def give(_: object) -> m.RestoreOrderAnswer:
        if losses.pop() if losses else 0:
            raise ConnectionLost("it is gone")
        return m.RestoreOrderAnswer(WAITING, True)

    vault.on("restore.order", give)
    assert run(administrator, *words, "--target", "/b").exit_code == 0
    first, second = vault.requests("restore.order")
    assert first == second
    losses += [1] * 9
    ended = run(administrator, *words, "--target", "/b")
    assert ended.exit_code == 8
    assert "may be ordered all the same" in ended.err


def test_a_refusal_is_no_unknown_end(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], asked: list[float]
) -> None:
    def refuse(_: object) -> m.RestoreOrderAnswer:
        raise RemoteProtocolError(ErrorCode.conflict, "16 restores are open already", "cancel one")

    vault.on("restore.order", refuse)
    ended = run(administrator, *words, "--target", "/b")
    assert (ended.exit_code, "may be ordered" in ended.err) == (6, False)


def test_restores(vault: FakeVault, administrator: Path, run: Run) -> None:
    failed = ended_as("failed", 12, "wrong_password")
    vault.on("restore.orders", lambda _: m.RestoreOrdersAnswer([failed, DONE]))
    lines = run(administrator, "safeset", "restores").out.splitlines()
    assert "failed: wrong_password" in lines[1]
    assert "3.0 MB" in lines[2]
    first, second = run(administrator, "safeset", "restores", "--json").json
    assert (first["number"], first["state"], first["exit_code"], first["code"]) == (3, "failed", 12, "wrong_password")
    assert (second["files"], second["bytes"], second["end"]) == (12, 3_000_000, "2001-09-09T01:46:43.000000Z")
    vault.on("restore.orders", lambda _: m.RestoreOrdersAnswer([]))
    assert "vaultctl safeset restore" in run(administrator, "safeset", "restores").out


@pytest.mark.parametrize(("begun", "words_of_it"), [(False, "nothing had begun"), (True, "office-1 stops")])
def test_cancel(vault: FakeVault, administrator: Path, run: Run, *, begun: bool, words_of_it: str) -> None:
    cancelled = msgspec.structs.replace(RUNNING if begun else WAITING, state="cancelled")
    vault.on("restore.cancel", lambda _: m.RestoreCancelAnswer(cancelled))
    assert words_of_it in run(administrator, "safeset", "cancel-restore", "3").out
    assert vault.requests("restore.cancel") == [m.RestoreCancelRequest(3)]
    assert run(administrator, "safeset", "cancel-restore", "3", "--json").json["state"] == "cancelled"
    assert run(administrator, "safeset", "cancel-restore", "three").exit_code == 2


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("safesets", "number", "said"),
    [
        ([], "latest", "no complete safeset yet"),
        (SAFESETS[-1:], "latest", "is restored by its number: --safeset 9"),
        (SAFESETS, "3", "no safeset 3"),
    ],
)
def test_what_is_not_there_is_not_ordered(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], safesets: list[m.SafesetSummary], number: str,
    said: str,
) -> None:  # fmt: skip
    vault.on("safeset.list", lambda _: m.SafesetListAnswer(safesets, None))
    ended = run(administrator, *words, "--target", "/", "--safeset", number)
    assert ended.exit_code == 4
    assert said in ended.err
    assert vault.requests("restore.order") == []


@pytest.mark.usefixtures("asked")
def test_which_one_is_the_latest_is_told(administrator: Path, run: Run, words: list[str]) -> None:
    assert "safeset 8 of 2001-09-09 01:46" in run(administrator, *words, "--target", "/").err
