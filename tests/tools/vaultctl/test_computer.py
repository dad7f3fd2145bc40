"""`vaultctl computer`: invite codes, the list, one computer."""

import base64
import hashlib
import json
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol import messages as m
from tests.support.creator import Creator
from tests.tools.vaultctl.conftest import CREATOR, Run
from tests.tools.vaultctl.fake_vault import FakeVault

SECRET = bytes(range(16))
COMPUTER = m.ComputerSummary(bytes.fromhex("c1" * 16), "office-1", "server", 10**18, 10**18, "AAAA-BBBB", 0, None)


@pytest.mark.parametrize(("words", "kind"), [((), "pc"), (("--kind", "server"), "server")])
def test_invite(vault: FakeVault, administrator: Path, run: Run, words: tuple[str, ...], kind: str) -> None:
    vault.on("computer.invite", lambda _: m.ComputerInviteAnswer(SECRET, 10**18))
    ended = run(administrator, "computer", "invite", *words)
    data = base64.b32decode(ended.out.strip().replace("-", "") + "======")
    assert (data[:1], data[1:17], data[37:57]) == (b"\x01", SECRET, CREATOR.fingerprint)
    assert data[17:37] == hashlib.sha256(b"DER of the authority").digest()[:20]
    assert [len(group) for group in ended.out.strip().split("-")] == [5] * 19 + [3]
    assert "2001-09-09 01:46:40 UTC" in ended.err
    assert CREATOR.fingerprint_text in ended.err
    assert vault.requests("computer.invite")[0].kind == kind
    document = run(administrator, "computer", "invite", "--json").json
    assert (document["code"], document["creator"]) == (ended.out.strip(), CREATOR.fingerprint_text)


def test_the_first_code_makes_the_signing_key_once(vault: FakeVault, administrator: Path, run: Run) -> None:
    """Whoever wrote the context file does not know it, and neither does the vault."""
    vault.on("computer.invite", lambda _: m.ComputerInviteAnswer(SECRET, 10**18))
    context = administrator.read_bytes()
    key_file = administrator.with_name("administrator.context.signing-key")
    key_file.unlink()
    first, second = (run(administrator, "computer", "invite", "--json") for _ in range(2))
    seed = bytes.fromhex(key_file.read_text())
    made = Creator(Ed25519PrivateKey.from_private_bytes(seed))
    assert first.json["creator"] == second.json["creator"] == made.fingerprint_text
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert administrator.read_bytes() == context
    said = first.out + first.err + second.out + second.err
    assert seed.hex() not in said + repr(vault.asked)


def test_a_key_that_somebody_put_into_the_context_is_not_taken(administrator: Path, run: Run) -> None:
    """An operator writes contexts: he must not choose the key that signs a customer's jobs."""
    document = json.loads(administrator.read_text()) | {"signing_key": Creator().seed.hex()}
    administrator.write_text(json.dumps(document))
    assert run(administrator, "computer", "invite").exit_code == 2


def test_agent_keys_that_came_with_a_context_are_refused(vault: FakeVault, administrator: Path, run: Run) -> None:
    """They would get the password of the first job without a question."""
    administrator.with_name("administrator.context.signing-key").unlink()
    document = json.loads(administrator.read_text()) | {"agent_keys": {"office-1": "AAAA-BBBB"}}
    administrator.write_text(json.dumps(document))
    ended = run(administrator, "computer", "invite")
    assert ended.exit_code == 6
    assert "agent keys of office-1" in ended.err
    assert vault.asked == []
    assert list(administrator.parent.glob("*.signing-key")) == []


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
            "removed": None,
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
    definition = m.JobDefinition([b"/srv/data", b"/srv/\xff"], ["*.tmp"], False, "", "", 1, 3, False, b"\x80")
    job = m.JobSummary(b"j" * 16, "office-1", "documents", definition, 10**18, True, 7, None, "", False, None)
    vault.on("computer.show", lambda _: m.ComputerShowAnswer(COMPUTER, b"key", bytes(1216), [job]))
    vault.on("job.show", lambda _: m.JobShowAnswer(job, []))
    (shown,) = run(administrator, "computer", "show", "office-1", "--json").json["jobs"]
    assert shown["definition"]["include"] == ["/srv/data", "/srv/\\xff"]
    assert {**shown, "runs": []} == run(administrator, "job", "show", "office-1", "documents", "--json").json


def test_remove(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("computer.remove", lambda _: m.ComputerRemoveAnswer(10**18))
    ended = run(administrator, "computer", "remove", "office-1", "--json")
    assert (ended.exit_code, ended.json) == (0, {"computer": "office-1", "removed": "2001-09-09T01:46:40.000000Z"})
    assert "restore JOB --computer office-1" in run(administrator, "computer", "remove", "office-1").out
    assert [request.computer for request in vault.requests("computer.remove")] == ["office-1"] * 2


def test_a_removed_one_is_shown_as_that(vault: FakeVault, administrator: Path, run: Run) -> None:
    removed = msgspec.structs.replace(COMPUTER, removed_ns=10**18)
    vault.on("computer.list", lambda _: m.ComputerListAnswer([COMPUTER, removed]))
    vault.on("computer.show", lambda _: m.ComputerShowAnswer(removed, b"key", bytes(1216), []))
    lines = run(administrator, "computer", "list").out.splitlines()
    assert ["registered" in line for line in lines] == [False, True, False]
    assert "removed 2001-09-09 01:46" in lines[2]
    assert "removed 2001-09-09 01:46" in run(administrator, "computer", "show", "office-1").out
    assert run(administrator, "computer", "show", "office-1", "--json").json["removed"] == "2001-09-09T01:46:40.000000Z"
