"""`vaultctl computer`: invite codes, the list, one computer."""

from pathlib import Path

import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

COMPUTER = m.ComputerSummary(bytes.fromhex("c1" * 16), "office-1", "server", 10**18, 10**18, "AAAA-BBBB", 0)


@pytest.mark.parametrize(("words", "kind"), [((), "pc"), (("--kind", "server"), "server")])
def test_invite(vault: FakeVault, administrator: Path, run: Run, words: tuple[str, ...], kind: str) -> None:
    vault.on("computer.invite", lambda _: m.ComputerInviteAnswer("ABCDE-FGHIJ", 10**18))
    ended = run(administrator, "computer", "invite", *words)
    assert ended.out == "ABCDE-FGHIJ\n"
    assert "2001-09-09 01:46:40 UTC" in ended.err
    assert vault.requests("computer.invite")[0].kind == kind
    assert run(administrator, "computer", "invite", "--json").json["code"] == "ABCDE-FGHIJ"


def test_another_kind_is_usage(vault: FakeVault, administrator: Path, run: Run) -> None:
    assert run(administrator, "computer", "invite", "--kind", "tablet").exit_code == 2
    assert vault.asked == []


def test_list(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("computer.list", lambda _: m.ComputerListAnswer([COMPUTER]))
    assert run(administrator, "computer", "list", "--json").json == [
        {
            "computer_id": "c1" * 16,
            "name": "office-1",
            "kind": "server",
            "registered": "2001-09-09T01:46:40.000000Z",
            "last_seen": "2001-09-09T01:46:40.000000Z",
            "agent_key": "AAAA-BBBB",
            "jobs": 0,
        }
    ]


def test_an_empty_list_says_what_to_do(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("computer.list", lambda _: m.ComputerListAnswer([]))
    assert "computer invite" in run(administrator, "computer", "list").out
    assert run(administrator, "computer", "list", "--json").json == []


def test_show(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("computer.show", lambda _: m.ComputerShowAnswer(COMPUTER, b"key", bytes(1216), []))
    assert run(administrator, "computer", "show", "office-1", "--json").json["jobs"] == []
    assert "AAAA-BBBB" in run(administrator, "computer", "show", "office-1").out


def test_show_has_its_jobs_as_job_show_has_them(vault: FakeVault, administrator: Path, run: Run) -> None:
    definition = m.JobDefinition([b"/srv/data", b"/srv/\xff"], ["*.tmp"], False, "", "", 1, 3, False)
    job = m.JobSummary(b"j" * 16, "office-1", "documents", definition, 10**18, True, 7, None, "", False)
    vault.on("computer.show", lambda _: m.ComputerShowAnswer(COMPUTER, b"key", bytes(1216), [job]))
    vault.on("job.show", lambda _: m.JobShowAnswer(job, []))
    (shown,) = run(administrator, "computer", "show", "office-1", "--json").json["jobs"]
    assert shown["definition"]["include"] == ["/srv/data", "/srv/\\xff"]
    assert {**shown, "runs": []} == run(administrator, "job", "show", "office-1", "documents", "--json").json
