"""`vaultctl job create`: whose key the password is sealed to, what is asked of the vault, and what never leaves."""

import json
from pathlib import Path

import pytest
from blake3 import blake3

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.support.creator import document
from tests.tools.vaultctl.conftest import ACCOUNT_ID, CREATOR, Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.failure import Failure
from tools.client.job_definition import JobAddress
from tools.client.job_secret import JobSecret, open_job_secret
from tools.client.recovery_code import parse_recovery_code

PASSWORD = "correct horse battery"
COMPUTER_ID = bytes.fromhex("c1" * 16)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def opened(request: m.JobCreateRequest, key: AgentKey) -> JobSecret:
    """As the agent does that knows the context's signing key."""
    address = JobAddress(ACCOUNT_ID, COMPUTER_ID, request.job_id)
    return open_job_secret(request.secret, address, key, CREATOR.fingerprint).secret


def fingerprint_text(key: AgentKey) -> str:
    """As docs/format.md says, by other means than the code under test."""
    length = len(key.spki).to_bytes(4, "little")
    digest = blake3(b"safeset agent key v1" + length + key.spki + key.sealing_public).digest(length=20)
    bits = "".join(f"{byte:08b}" for byte in digest)
    text = "".join(ALPHABET[int(bits[i : i + 5], 2)] for i in range(0, 160, 5))
    return "-".join(text[i : i + 4] for i in range(0, 32, 4))


@pytest.fixture(scope="module")
def agent_key() -> AgentKey:
    return create_agent_key()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def words(password_file: Path) -> list[str]:
    return ["job", "create", "office-1", "documents", "--include", "/home", "--password-file", str(password_file)]


@pytest.fixture(autouse=True)
def computer(vault: FakeVault, agent_key: AgentKey) -> None:
    # The text of the fingerprint is a lie: nobody may believe it.
    summary = m.ComputerSummary(COMPUTER_ID, "office-1", "pc", 1, 1, "0000-0000", 0, None)
    answer = m.ComputerShowAnswer(summary, agent_key.spki, agent_key.sealing_public, [])
    vault.on("computer.show", lambda _: answer)
    vault.on("job.create", lambda request: m.JobCreateAnswer(request.job_id))


def test_sealed_to_the_confirmed_agent(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    ended = run(administrator, *words, "--agent-key", fingerprint_text(agent_key).lower(), "--json")
    assert ended.exit_code == 0
    (request,) = vault.requests("job.create")
    secret = opened(request, agent_key)
    assert secret.password == PASSWORD
    assert ended.json["job"] == "documents"
    assert secret.recovery_code == parse_recovery_code(ended.json["recovery_code"])


def test_the_definition_and_the_secret_are_signed(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    assert run(administrator, *words, "--trust-agent-key", "--exclude", "*.tmp").exit_code == 0
    (request,) = vault.requests("job.create")
    assert (request.revision, request.creator_key) == (1, CREATOR.public_key)
    public_key = CREATOR.private_key.public_key()
    signed = document((ACCOUNT_ID, COMPUTER_ID, request.job_id), 1, "documents", request.definition)
    public_key.verify(request.signature, b"safeset job definition v1" + signed)
    assert request.secret[-96:-64] == CREATOR.public_key
    public_key.verify(request.secret[-64:], b"safeset job secret signature v1" + request.secret[:-96])


def test_a_context_that_invited_nobody_creates_no_job(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    """The agent would refuse the job: the code of its registration had another key."""
    key_file = administrator.with_name("administrator.context.signing-key")
    key_file.unlink()
    ended = run(administrator, *words, "--trust-agent-key")
    assert ended.exit_code == 5
    assert f"there is no {key_file}" in ended.err
    assert "computer invite" in ended.err
    assert vault.asked == []
    assert not key_file.exists()


def test_a_pattern_from_the_root_only_is_told(administrator: Path, run: Run, words: list[str]) -> None:
    more = [
        "--exclude",
        "src/*.tmp",
        "--exclude",
        "*.tmp",
        "--exclude",
        "cache/",
        "--exclude",
        "/home/x",
        "--exclude",
        "**/a/b",
    ]
    ended = run(administrator, *words, "--trust-agent-key", *more)
    assert ended.exit_code == 0
    assert ended.err.count("note: --exclude") == 1
    assert "note: --exclude src/*.tmp means /src/*.tmp only; **/src/*.tmp is at any depth" in ended.err


def test_defaults_of_the_definition(vault: FakeVault, administrator: Path, run: Run, words: list[str]) -> None:
    run(administrator, *words, "--trust-agent-key")
    expected = m.JobDefinition([b"/home"], [], False, "", "", 1, 1, False, b"\x80")
    assert vault.requests("job.create")[0].definition == expected


def test_every_option_of_the_definition(vault: FakeVault, administrator: Path, run: Run, words: list[str]) -> None:
    more = ["--include", "/srv//data/./", "--include", "/home/", "--exclude", "*.tmp", "--exclude", "#recycle"]
    more += ["--one-file-system", "--schedule", " 30  21 * * 1-5 ", "--retention", "daily", "--cipher", "aes-256-gcm"]
    more += ["--compression", "0", "--both-sites"]
    assert run(administrator, *words, "--trust-agent-key", *more).exit_code == 0
    assert vault.requests("job.create")[0].definition == m.JobDefinition(
        [b"/home", b"/srv/data"], ["*.tmp", "\\#recycle"], True, "30 21 * * 1-5", "daily", 2, 0, True, b"\x80"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        ["--include", "home"],
        ["--include", "/home/../etc"],
        ["--include", ""],
        ["--exclude", " "],
        ["--exclude", "[bad"],
        ["--exclude", "[z-a]"],
        ["--exclude", "!"],
        ["--exclude", "/"],
        ["--schedule", "daily"],
        ["--schedule", "1 2 3 4 5 6"],
        ["--compression", "10"],
        ["--cipher", "none"],
        ["--agent-key", "nonsense"],
        ["--trust-agent-key", "--agent-key", "0000-0000-0000-0000-0000-0000-0000-0000"],
    ],
)
def test_wrong_words_ask_nothing(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], wrong: list[str]
) -> None:
    ended = run(administrator, *words, *wrong, "--json")
    assert (ended.exit_code, ended.json["type"]) == (2, "error")
    assert vault.asked == []


def test_an_unconfirmed_key_gets_no_password(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    ended = run(administrator, *words)
    assert ended.exit_code == 2
    assert fingerprint_text(agent_key) in ended.err
    assert "--agent-key" in ended.err
    assert vault.requests("job.create") == []
    assert "agent_keys" not in json.loads(administrator.read_text())


def test_another_key_than_expected(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    other = fingerprint_text(create_agent_key())
    ended = run(administrator, *words, "--agent-key", other, "--json")
    assert (ended.exit_code, ended.json["code"]) == (6, "conflict")
    assert fingerprint_text(agent_key) not in ended.err, "nobody should copy what the vault says"
    assert vault.requests("job.create") == []
    assert "agent_keys" not in json.loads(administrator.read_text())


def test_a_key_is_pinned_once_and_then_needs_no_option(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    assert run(administrator, *words, "--trust-agent-key").exit_code == 0
    assert json.loads(administrator.read_text())["agent_keys"] == {"office-1": fingerprint_text(agent_key)}
    assert run(administrator, *words).exit_code == 0
    assert len(vault.requests("job.create")) == 2


@pytest.mark.parametrize("expectation", ["nothing", "first-use", "the-new-one"])
def test_a_pinned_key_that_changed_is_refused(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey, expectation: str
) -> None:
    document = json.loads(administrator.read_text())
    pinned = fingerprint_text(create_agent_key())
    administrator.write_text(json.dumps({**document, "agent_keys": {"office-1": pinned}}))
    options = {"nothing": [], "first-use": ["--trust-agent-key"], "the-new-one": ["--agent-key"]}[expectation]
    options += [fingerprint_text(agent_key)] if expectation == "the-new-one" else []
    ended = run(administrator, *words, *options)
    assert ended.exit_code == 6
    assert "changed" in ended.err
    assert vault.requests("job.create") == []
    assert json.loads(administrator.read_text())["agent_keys"] == {"office-1": pinned}


@pytest.mark.parametrize("is_told", [False, True], ids=["no-code", "code"])
@pytest.mark.parametrize("options", [[], ["--trust-agent-key"]], ids=["silent", "confirmed"])
def test_a_new_key_is_taken_after_a_code_that_replaces_and_a_confirmation(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey, is_told: bool,
    options: list[str],
) -> None:  # fmt: skip
    document = json.loads(administrator.read_text())
    pinned = fingerprint_text(create_agent_key())
    administrator.write_text(json.dumps({**document, "agent_keys": {"office-1": pinned, "other": pinned}}))
    vault.on("computer.invite", lambda _: m.ComputerInviteAnswer(bytes(16), 10**18))
    assert run(administrator, "computer", "invite", *(["--replace", "OFFICE-1"] if is_told else [])).exit_code == 0
    ended = run(administrator, *words, *options)
    is_taken = is_told and bool(options)
    assert ended.exit_code == (0 if is_taken else 6)
    assert len(vault.requests("job.create")) == is_taken
    kept = json.loads(administrator.read_text())
    assert kept["agent_keys"] == {"office-1": fingerprint_text(agent_key) if is_taken else pinned, "other": pinned}
    assert kept.get("replaced_keys", {}) == ({"office-1": pinned} if is_told and not is_taken else {})


def test_without_a_recovery_code(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    ended = run(administrator, *words, "--trust-agent-key", "--no-recovery-code", "--json")
    assert ended.json["recovery_code"] is None
    (request,) = vault.requests("job.create")
    assert opened(request, agent_key).recovery_code is None


def test_the_recovery_code_is_framed_for_people(administrator: Path, run: Run, words: list[str]) -> None:
    ended = run(administrator, *words, "--trust-agent-key")
    assert "Recovery code" in ended.out
    assert "Write it down" in ended.out
    assert "Recovery code" not in ended.err


def test_the_password_is_never_said_or_sent_in_clear(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    ended = run(administrator, *words, "--trust-agent-key", "--json")
    assert PASSWORD not in ended.out + ended.err + administrator.read_text() + repr(vault.asked)


def test_a_short_password_is_refused(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], password_file: Path
) -> None:
    password_file.touch(0o600)
    password_file.write_text("1234567\n")
    ended = run(administrator, *words, "--trust-agent-key")
    assert ended.exit_code == 2
    assert "at least 8" in ended.err
    assert vault.requests("job.create") == []


def test_a_lost_answer_is_asked_for_again(vault: FakeVault, administrator: Path, run: Run, words: list[str]) -> None:
    """Otherwise the job exists and its recovery code was never shown."""

    def lost_once(request: m.JobCreateRequest) -> m.JobCreateAnswer:
        if len(vault.requests("job.create")) == 1:
            raise ConnectionLost("the connection ended")
        return m.JobCreateAnswer(request.job_id)

    vault.on("job.create", lost_once)
    ended = run(administrator, *words, "--trust-agent-key", "--json")
    first, second = vault.requests("job.create")
    assert first == second
    assert ended.json["recovery_code"] is not None


def code_of(vault: FakeVault, agent_key: AgentKey) -> bytes | None:
    """The recovery code in the request, which is the one that would open the job."""
    return opened(vault.requests("job.create")[0], agent_key).recovery_code


@pytest.mark.parametrize(
    ("after", "exit_code"),
    [
        (ConnectionLost("the connection ended"), 8),
        (Failure("unreachable", "the vault cannot be reached"), 8),
        (RemoteProtocolError(ErrorCode.internal, "Something broke."), 1),
        (RemoteProtocolError(ErrorCode.conflict, "The job is there."), 6),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_lost_answer_does_not_lose_the_recovery_code(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey, after: BaseException,
    exit_code: int,
) -> None:  # fmt: skip
    def lost(request: m.JobCreateRequest) -> m.JobCreateAnswer:
        raise ConnectionLost("the connection ended") if len(vault.requests("job.create")) == 1 else after

    vault.on("job.create", lost)
    ended = run(administrator, *words, "--trust-agent-key", "--json")
    assert (ended.exit_code, ended.json["type"]) == (exit_code, "error")
    assert parse_recovery_code(ended.json["recovery_code"]) == code_of(vault, agent_key)
    assert f"the job may exist; its recovery code is {ended.json['recovery_code']}" in ended.err


def test_an_answer_that_leaves_the_end_open_does_not_lose_the_recovery_code(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey
) -> None:
    def broken(request: m.JobCreateRequest) -> m.JobCreateAnswer:
        raise RemoteProtocolError(ErrorCode.internal, "Something broke.")

    vault.on("job.create", broken)
    ended = run(administrator, *words, "--trust-agent-key", "--json")
    assert parse_recovery_code(ended.json["recovery_code"]) == code_of(vault, agent_key)


def test_a_refused_job_has_no_recovery_code_to_write_down(
    vault: FakeVault, administrator: Path, run: Run, words: list[str]
) -> None:
    def refused(request: m.JobCreateRequest) -> m.JobCreateAnswer:
        raise RemoteProtocolError(ErrorCode.conflict, "A job of that name is there.")

    vault.on("job.create", refused)
    ended = run(administrator, *words, "--trust-agent-key", "--json")
    assert ended.exit_code == 6
    assert "recovery_code" not in ended.json
    assert "recovery code" not in ended.err
    assert "agent_keys" not in json.loads(administrator.read_text())


def test_an_operators_context_makes_no_jobs(vault: FakeVault, operator: Path, run: Run, words: list[str]) -> None:
    ended = run(operator, *words, "--trust-agent-key")
    assert ended.exit_code == 5
    assert vault.asked == []
