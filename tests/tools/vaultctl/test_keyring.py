"""`vaultctl keyring password`: what the vault is sent, what it is not, and what a wrong secret costs."""

import json
import struct
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import ACCOUNT_ID, CREATOR, Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.job_definition import JobAddress
from tools.client.job_secret import open_new_keys
from tools.client.keyring import Keyring, Unattended, create_keyring
from tools.client.recovery_code import format_recovery_code, parse_recovery_code
from tools.client.slot import (
    NewSlot,
    SlotParameters,
    create_password_slot,
    create_recovery_slot,
    derive_keys,
    open_slot,
)

OLD, NEW = "correct horse battery", "another good password"
CODE = bytes(range(20))
JOB_ID = b"j" * 16
COMPUTER_ID = b"c" * 16


def parameters_of(slot: bytes) -> SlotParameters:
    return SlotParameters(slot[8:24], slot[5], *struct.unpack("<III", slot[44:56]), slot[56:72])


class Keeper:
    """Gives a slot against its proof, as a vault does."""

    def __init__(self, vault: FakeVault, *made: NewSlot) -> None:
        self.slots = {new.slot[8:24]: new for new in made}
        vault.on("keyring.parameters", self.parameters)
        vault.on("keyring.open", self.open)
        vault.on("keyring.slots", lambda _: m.KeyringSlotsAnswer())

    def parameters(self, request: m.KeyringParametersRequest) -> m.KeyringParametersAnswer:
        slots = []
        for new in self.slots.values():
            p = parameters_of(new.slot)
            slots.append(m.SlotParameters(p.slot_id, p.kind, p.memory_kib, p.passes, p.lanes, p.salt))
        keyring_id = next(iter(self.slots.values())).slot[24:40]
        return m.KeyringParametersAnswer(
            JOB_ID, keyring_id, 1, slots, [m.KeyringJob(JOB_ID, "office-1", "documents", 5)]
        )

    def open(self, request: m.KeyringOpenRequest) -> m.KeyringOpenAnswer:
        new = self.slots[request.slot_id]
        if blake3(request.proof).digest() != new.proof_hash:
            raise RemoteProtocolError(ErrorCode.wrong_password, "the password is wrong", "")
        return m.KeyringOpenAnswer([new.slot, new.slot])


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return create_keyring(JOB_ID)


@pytest.fixture(scope="module")
def made(keyring: Keyring) -> tuple[NewSlot, NewSlot]:
    return create_password_slot(keyring, OLD), create_recovery_slot(keyring, CODE)


@pytest.fixture
def keeper(vault: FakeVault, made: tuple[NewSlot, NewSlot]) -> Keeper:
    return Keeper(vault, *made)


def secret(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.touch(0o600)
    path.write_text(text + "\n")
    return str(path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return ["keyring", "password", "office-1", "documents", "--new-password-file", secret(tmp_path, "new", NEW)]


def opened(request: m.KeyringSlotsRequest, password: str) -> Keyring:
    (new,) = request.change.slots
    return open_slot(new.slot, derive_keys(password, parameters_of(new.slot)))


@pytest.mark.parametrize("by", ["password", "code"])
def test_the_same_keyring_is_sealed_under_the_new_password(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path,
    keyring: Keyring, made: tuple[NewSlot, NewSlot], by: str,
) -> None:  # fmt: skip
    password, code = made
    if by == "password":
        more = ["--password-file", secret(tmp_path, "old", OLD)]
    else:
        more = ["--recovery-code-file", secret(tmp_path, "code", format_recovery_code(CODE))]
    ended = run(administrator, *words, *more, "--json")
    assert ended.exit_code == 0, ended.err
    (request,) = vault.requests("keyring.slots")
    assert opened(request, NEW) == keyring
    assert request.change.removed == [password.slot[8:24]]
    used = password if by == "password" else code
    assert blake3(request.change.proof).digest() == used.proof_hash
    assert ended.json == {
        "computer": "office-1", "job": "documents", "jobs": [{"computer": "office-1", "job": "documents"}],
        "generation": 1, "recovery_code": None,
    }  # fmt: skip
    newest = keyring.newest
    for hidden in (OLD.encode(), NEW.encode(), CODE, newest.private_key, newest.id_key, keyring.signing[0].seed):
        assert hidden not in b"".join(slot.slot for slot in request.change.slots)
        assert repr(hidden)[2:-1] not in repr(vault.asked)


@pytest.mark.parametrize("by", ["password", "code"])
def test_a_wrong_secret_is_exit_12(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path, by: str
) -> None:
    if by == "password":
        more = ["--password-file", secret(tmp_path, "old", "not this one")]
    else:
        more = ["--recovery-code-file", secret(tmp_path, "code", format_recovery_code(bytes(20)))]
    assert run(administrator, *words, *more).exit_code == 12
    assert vault.requests("keyring.slots") == []


@pytest.mark.parametrize(
    ("more", "exit_code"),
    [
        (["--password-file", "OLD", "--recovery-code-file", "CODE"], 2),
        (["--password-file", "-", "--new-password-file", "-"], 2),
        (["--password-file", "OLD", "--new-password-file", "SHORT"], 2),
        (["--recovery-code-file", "BROKEN"], 2),
    ],
)
def test_what_cannot_be_right_asks_nothing(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path,
    more: list[str], exit_code: int,
) -> None:  # fmt: skip
    files = {
        "OLD": secret(tmp_path, "old", OLD), "CODE": secret(tmp_path, "code", format_recovery_code(CODE)),
        "SHORT": secret(tmp_path, "short", "1234567"), "BROKEN": secret(tmp_path, "broken", "12345"),
    }  # fmt: skip
    ended = run(administrator, *words, *(files.get(word, word) for word in more))
    assert ended.exit_code == exit_code, ended.err
    assert vault.asked == []


def test_a_lost_answer_is_asked_for_again(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path
) -> None:
    def lost_once(request: m.KeyringSlotsRequest) -> m.KeyringSlotsAnswer:
        if len(vault.requests("keyring.slots")) == 1:
            raise ConnectionLost("the connection ended")
        return m.KeyringSlotsAnswer()

    vault.on("keyring.slots", lost_once)
    assert run(administrator, *words, "--password-file", secret(tmp_path, "old", OLD)).exit_code == 0
    first, second = vault.requests("keyring.slots")
    assert first == second


@pytest.mark.parametrize(("code", "is_said"), [(ErrorCode.not_found, False), (ErrorCode.unavailable, True)])
def test_where_nobody_knows_whether_it_is_done_that_is_said(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path,
    code: ErrorCode, is_said: bool,
) -> None:  # fmt: skip
    def refuse(_: m.KeyringSlotsRequest) -> m.KeyringSlotsAnswer:
        raise RemoteProtocolError(code, "no", "")

    vault.on("keyring.slots", refuse)
    ended = run(administrator, *words, "--password-file", secret(tmp_path, "old", OLD))
    assert ended.exit_code != 0
    assert ("the password may be changed: try the new one first" in ended.err) is is_said


def test_the_slot_of_another_keyring_is_not_sealed_anew(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], tmp_path: Path
) -> None:
    """Under this job's id it would be the end of this job's."""
    keeper = Keeper(vault, create_password_slot(create_keyring(JOB_ID), OLD))
    told = keeper.parameters(m.KeyringParametersRequest("a", "b"))
    vault.on("keyring.parameters", lambda _: m.KeyringParametersAnswer(JOB_ID, b"k" * 16, 1, told.slots, told.jobs))
    ended = run(administrator, *words, "--password-file", secret(tmp_path, "old", OLD))
    assert (ended.exit_code, vault.requests("keyring.slots")) == (9, [])


# --rotate


@pytest.fixture(scope="module")
def agent_key() -> AgentKey:
    return create_agent_key()


@pytest.fixture
def computer(vault: FakeVault, agent_key: AgentKey) -> None:
    summary = m.ComputerSummary(COMPUTER_ID, "office-1", "pc", 1, 1, "0000-0000", 0, None)
    answer = m.ComputerShowAnswer(summary, agent_key.spki, agent_key.sealing_public, [])
    vault.on("computer.show", lambda _: answer)


@pytest.fixture
def rotating(tmp_path: Path) -> list[str]:
    old = secret(tmp_path, "old", OLD)
    return ["keyring", "password", "office-1", "documents", "--password-file", old, "--rotate"]


def slots_opened(request: m.KeyringSlotsRequest, *secrets: str | bytes) -> list[Keyring]:
    """By kind: password, code."""
    slots = {new.slot[5]: new.slot for new in request.change.slots}
    kinds = {kind: secret for secret in secrets for kind in [1 if isinstance(secret, str) else 2]}
    assert slots.keys() == kinds.keys()
    return [open_slot(slots[kind], derive_keys(kinds[kind], parameters_of(slots[kind]))) for kind in sorted(slots)]


def test_every_slot_wraps_all_generations(
    vault: FakeVault, keeper: Keeper, computer: None, administrator: Path, run: Run, rotating: list[str],
    keyring: Keyring, made: tuple[NewSlot, NewSlot], agent_key: AgentKey,
) -> None:  # fmt: skip
    ended = run(administrator, *rotating, "--trust-agent-key", "--json")
    assert ended.exit_code == 0, ended.err
    (request,) = vault.requests("keyring.slots")
    by_password, by_code = slots_opened(request, OLD, parse_recovery_code(ended.json["recovery_code"]))
    assert by_password == by_code
    assert by_password.generations[0] == keyring.newest
    first, second = by_password.generations
    assert (second.number, second.id_key, second.chunker_seed) == (2, first.id_key, first.chunker_seed)
    assert second.private_key != first.private_key
    old_key, new_key = by_password.signing
    assert (old_key, new_key.job_id, new_key.from_generation) == (keyring.signing[0], JOB_ID, 2)
    assert new_key.seed != old_key.seed
    assert set(request.change.removed) == {one.slot[8:24] for one in made}
    rotation = request.change.rotation
    assert (rotation.generation, rotation.public_key) == (2, second.public_key)
    (sent,) = rotation.jobs
    public = Ed25519PrivateKey.from_private_bytes(new_key.seed).public_key().public_bytes_raw()
    assert (sent.job_id, sent.signing_key) == (JOB_ID, public)
    opened_keys = open_new_keys(
        sent.secret, JobAddress(ACCOUNT_ID, COMPUTER_ID, JOB_ID), agent_key, CREATOR.fingerprint
    )
    assert opened_keys.keys.unattended == Unattended.of(by_password, JOB_ID)
    assert second.private_key not in sent.secret
    assert "agent_keys" in json.loads(administrator.read_text())


def test_the_code_that_is_given_is_proved_and_stays(
    vault: FakeVault, keeper: Keeper, computer: None, administrator: Path, run: Run, rotating: list[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    wrong = ["--recovery-code-file", secret(tmp_path, "wrong", format_recovery_code(bytes(20)))]
    assert run(administrator, *rotating, "--trust-agent-key", *wrong).exit_code == 12
    assert vault.requests("keyring.slots") == []
    right = ["--recovery-code-file", secret(tmp_path, "code", format_recovery_code(CODE))]
    ended = run(administrator, *rotating, "--trust-agent-key", *right, "--json")
    assert ended.json["recovery_code"] is None
    slots_opened(vault.requests("keyring.slots")[0], OLD, CODE)


def test_no_code_is_sealed_where_none_is_wanted(
    vault: FakeVault, keeper: Keeper, computer: None, administrator: Path, run: Run, rotating: list[str]
) -> None:
    ended = run(administrator, *rotating, "--trust-agent-key", "--no-recovery-code")
    assert "There is no recovery code any more" in ended.out
    slots_opened(vault.requests("keyring.slots")[0], OLD)


@pytest.mark.parametrize(
    ("more", "exit_code", "told"),
    [
        ([], 2, "is not confirmed yet"),
        (["--agent-key", "0000-0000-0000-0000-0000-0000-0000-0000"], 6, "another agent key"),
        (["--trust-agent-key", "--new-ids"], 2, "5 bytes (5 B) will be read and uploaded again"),
    ],
)
def test_what_is_not_confirmed_changes_nothing(
    vault: FakeVault, keeper: Keeper, computer: None, administrator: Path, run: Run, rotating: list[str],
    more: list[str], exit_code: int, told: str,
) -> None:  # fmt: skip
    ended = run(administrator, *rotating, *more)
    assert (ended.exit_code, told in ended.err) == (exit_code, True)
    assert vault.requests("keyring.slots") == []


def test_a_keyring_of_removed_jobs_only_is_not_rotated(
    vault: FakeVault, keeper: Keeper, computer: None, administrator: Path, run: Run, rotating: list[str]
) -> None:
    def parameters(request: m.KeyringParametersRequest) -> m.KeyringParametersAnswer:
        told = keeper.parameters(request)
        return m.KeyringParametersAnswer(told.job_id, told.keyring_id, told.generation, told.slots, [])

    vault.on("keyring.parameters", parameters)
    ended = run(administrator, *rotating, "--trust-agent-key")
    assert (ended.exit_code, vault.requests("keyring.slots")) == (6, [])
    assert "every job of this keyring was removed, so no run would use new keys" in ended.err


@pytest.mark.parametrize("option", ["--new-ids", "--no-recovery-code", "--trust-agent-key"])
def test_options_of_a_rotation_need_one(
    vault: FakeVault, keeper: Keeper, administrator: Path, run: Run, words: list[str], tmp_path: Path, option: str
) -> None:
    ended = run(administrator, *words, "--password-file", secret(tmp_path, "old", OLD), option)
    assert (ended.exit_code, vault.asked) == (2, [])
    assert f"{option} goes with --rotate only" in ended.err
