"""`vaultctl job create --keyring`: warned of, opened first, and every slot made anew with the job's key in it."""

from pathlib import Path

import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import ACCOUNT_ID, CREATOR, Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tests.tools.vaultctl.test_keyring import (
    CODE,
    COMPUTER_ID,
    JOB_ID,
    OLD,
    Keeper,
    agent_key,
    computer,
    keeper,
    keyring,
    made,
    parameters_of,
    secret,
)
from tools.client.agent_key import AgentKey
from tools.client.job_definition import JobAddress
from tools.client.job_secret import open_new_keys
from tools.client.keyring import Keyring, Unattended, signing_public_key
from tools.client.recovery_code import format_recovery_code, parse_recovery_code
from tools.client.slot import NewSlot, derive_keys, open_slot

__all__ = ["agent_key", "computer", "keeper", "keyring", "made"]


@pytest.fixture
def words(vault: FakeVault, computer: None, keeper: Keeper, tmp_path: Path) -> list[str]:
    vault.on("job.create", lambda request: m.JobCreateAnswer(request.job_id))
    return [
        "job", "create", "office-1", "photos", "--include", "/photos", "--keyring", "documents", "--trust-agent-key",
        "--password-file", secret(tmp_path, "old", OLD),
    ]  # fmt: skip


def slots_opened(request: m.JobCreateRequest, code: bytes | None) -> list[Keyring]:
    assert request.keyring is not None
    found = []
    for new in request.keyring.change.slots:
        opens: str | bytes = OLD if new.slot[5] == 1 else code or b""
        found.append(open_slot(new.slot, derive_keys(opens, parameters_of(new.slot))))
    return found


def test_the_keyring_gets_the_jobs_key_and_stays_else(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], keyring: Keyring,
    made: tuple[NewSlot, NewSlot], agent_key: AgentKey,
) -> None:  # fmt: skip
    ended = run(administrator, *words, "--yes", "--json")
    assert ended.exit_code == 0, ended.err
    assert "all jobs of a keyring open with one password" in ended.err
    (request,) = vault.requests("job.create")
    by_password, by_code = slots_opened(request, parse_recovery_code(ended.json["recovery_code"]))
    assert by_password == by_code
    assert (by_password.keyring_id, by_password.generations) == (keyring.keyring_id, keyring.generations)
    added = [key for key in by_password.signing if key not in keyring.signing]
    assert [(key.job_id, key.from_generation) for key in added] == [(request.job_id, 1)]
    assert len(by_password.signing) == 2
    join = request.keyring
    assert set(join.change.removed) == {one.slot[8:24] for one in made}
    assert (join.signing_key, join.change.rotation) == (signing_public_key(added[0].seed), None)
    address = JobAddress(ACCOUNT_ID, COMPUTER_ID, request.job_id)
    sent = open_new_keys(request.secret, address, agent_key, CREATOR.fingerprint).keys
    assert (sent.unattended, sent.earlier) == (Unattended.of(by_password, request.job_id), ())
    assert request.job_id != JOB_ID


@pytest.mark.parametrize("given", ["right", "wrong", "none wanted"])
def test_the_recovery_code_of_the_keyring(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], tmp_path: Path, given: str
) -> None:
    code = CODE if given == "right" else bytes(20)
    file = secret(tmp_path, "code", format_recovery_code(code))
    more = ["--no-recovery-code"] if given == "none wanted" else ["--recovery-code-file", file]
    ended = run(administrator, *words, "--yes", *more, "--json")
    if given == "wrong":
        assert (ended.exit_code, vault.requests("job.create")) == (12, [])
        return
    assert (ended.exit_code, ended.json["recovery_code"]) == (0, None)
    opened = slots_opened(vault.requests("job.create")[0], CODE)
    assert len(opened) == (2 if given == "right" else 1)


def test_a_wrong_password_creates_nothing(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], tmp_path: Path
) -> None:
    words[-1] = secret(tmp_path, "wrong", "not the password")
    assert run(administrator, *words, "--yes").exit_code == 12
    assert vault.requests("job.create") == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ([], "nobody can be asked here"),
        (["--yes", "--keyring", "/documents"], "JOB or COMPUTER/JOB"),
        (["--yes", "--keyring", "office-1/"], "JOB or COMPUTER/JOB"),
    ],
    ids=["not-accepted", "no-computer", "no-job"],
)
def test_what_is_not_accepted_or_cannot_be_asks_nothing(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], changed: list[str], told: str
) -> None:
    ended = run(administrator, *words, *changed)
    assert (ended.exit_code, told in ended.err, vault.asked) == (2, True, [])


@pytest.mark.parametrize("option", [["--yes"], ["--recovery-code-file", "FILE"]])
def test_options_of_sharing_need_a_keyring(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], option: list[str]
) -> None:
    at = words.index("--keyring")
    ended = run(administrator, *words[:at], *words[at + 2 :], *option)
    assert (ended.exit_code, vault.asked) == (2, [])
    assert f"{option[0]} goes with --keyring only" in ended.err


def test_the_job_of_another_computer_is_asked_for_there(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    assert run(administrator, *words, "--yes", "--keyring", "server/data").exit_code == 0
    asked = vault.requests("keyring.parameters")[0]
    assert (asked.computer, asked.job) == ("server", "data")
