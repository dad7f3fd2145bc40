"""`vaultctl account`: the operator makes, lists and shows accounts."""

import json
import stat
from pathlib import Path

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import ACCOUNT_ID, AUTHORITY, TOKEN, Run
from tests.tools.vaultctl.fake_vault import FakeVault

NEW_TOKEN = bytes.fromhex("7e" * 32)
ACCOUNT = m.AccountSummary(ACCOUNT_ID, "Example GmbH", 10**18, 2, 3, 4, 5, 250_000_000_000)
COMPUTER = m.ComputerSummary(bytes(16), "office-1", "pc", 10**18, None, "AAAA-BBBB", 1, None)


def created(request: m.AccountCreateRequest) -> m.AccountCreateAnswer:
    return m.AccountCreateAnswer(ACCOUNT_ID, request.name, NEW_TOKEN)


def test_create_writes_the_administrators_context(vault: FakeVault, operator: Path, run: Run, tmp_path: Path) -> None:
    vault.on("account.create", created)
    file = tmp_path / "new.context"
    ended = run(operator, "account", "create", "Example GmbH", "--admin-context", str(file), "--json")
    assert (ended.exit_code, ended.json) == (0, {"account": "Example GmbH", "context": str(file)})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "version": 1,
        "url": "https://vault.example:8443",
        "ca": AUTHORITY,
        "role": "administrator",
        "account": "Example GmbH",
        "account_id": ACCOUNT_ID.hex(),
        "token": NEW_TOKEN.hex(),
        "agent_keys": {},
        "replaced_keys": {},
    }
    assert vault.endpoints[0].token == bytes.fromhex(TOKEN)


def test_no_token_is_ever_said(vault: FakeVault, operator: Path, run: Run, tmp_path: Path) -> None:
    vault.on("account.create", created)
    ended = run(operator, "account", "create", "A", "--admin-context", str(tmp_path / "a"))
    assert NEW_TOKEN.hex() not in ended.out + ended.err
    assert TOKEN not in repr(vault.endpoints[0])


def test_a_file_that_exists_stops_it_before_the_vault_is_asked(vault: FakeVault, operator: Path, run: Run) -> None:
    ended = run(operator, "account", "create", "A", "--admin-context", str(operator), "--json")
    assert (ended.exit_code, ended.json["code"]) == (6, "conflict")
    assert vault.asked == []


def test_the_vaults_refusal_leaves_no_file(vault: FakeVault, operator: Path, run: Run, tmp_path: Path) -> None:
    def taken(_: object) -> m.AccountCreateAnswer:
        raise RemoteProtocolError(ErrorCode.conflict, "there is an account A already", "choose another name")

    vault.on("account.create", taken)
    ended = run(operator, "account", "create", "A", "--admin-context", str(tmp_path / "a"))
    assert ended.exit_code == 6
    assert ended.err == "error: there is an account A already\nhint: choose another name\n"
    assert not (tmp_path / "a").exists()


def test_list(vault: FakeVault, operator: Path, run: Run) -> None:
    vault.on("account.list", lambda _: m.AccountListAnswer([ACCOUNT]))
    assert run(operator, "account", "list", "--json").json == [
        {
            "account_id": ACCOUNT_ID.hex(),
            "name": "Example GmbH",
            "created": "2001-09-09T01:46:40.000000Z",
            "packages": 2,
            "computers": 3,
            "jobs": 4,
            "safesets": 5,
            "protected_bytes": 250_000_000_000,
        }
    ]
    assert "250.0 GB" in run(operator, "account", "list").out


def test_show(vault: FakeVault, operator: Path, run: Run) -> None:
    vault.on("account.show", lambda _: m.AccountShowAnswer(ACCOUNT, [COMPUTER]))
    document = run(operator, "account", "show", "Example GmbH", "--json").json
    assert document["computers"][0]["name"] == "office-1"
    assert document["computers"][0]["last_seen"] is None
    assert "office-1" in run(operator, "account", "show", "Example GmbH").out


def test_names_cannot_command_a_terminal(vault: FakeVault, operator: Path, run: Run) -> None:
    evil = m.AccountSummary(ACCOUNT_ID, "a\x1b[2J\u202e", 1, 0, 0, 0, 0, 0)
    vault.on("account.list", lambda _: m.AccountListAnswer([evil]))
    out = run(operator, "account", "list").out
    assert "a\\x1b[2J\\u202e" in out
    assert "\x1b" not in out
