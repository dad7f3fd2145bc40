"""A registered agent with one job at a fake vault, and short ways to back up and restore."""

import math
import pickle
import subprocess
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from protocol import messages as m
from tests.support.creator import Creator
from tests.tools.agent.fake_vault import FakeVault
from tools.agent.keys import adopt, first_keyring
from tools.agent.restore.metadata import Rights
from tools.agent.restore.restore import Destination, Restored, prepare_root, restore
from tools.agent.restore.survey import Overwrite
from tools.agent.run.agent import Agent
from tools.agent.run.backup import back_up
from tools.agent.run.pace import Pace
from tools.agent.run.run_end import Done
from tools.agent.safeset.entries import Damage, walk_safeset, wanted_paths
from tools.agent.safeset.unlock import Secret, Wanted, unlock
from tools.agent.state import Identity, StateDirectory, create_state
from tools.agent.system import apart
from tools.client import slot
from tools.client.agent_key import create_agent_key
from tools.client.creator_key import CreatorKey
from tools.client.failure import Failure
from tools.client.job_definition import JobAddress
from tools.client.job_secret import JobSecret, Recipient, seal_job_secret
from tools.client.manifest import Entry, Extra, Kind
from tools.client.slot import SlotParameters

ACCOUNT_ID, COMPUTER_ID, JOB_ID = b"a" * 16, b"c" * 16, b"j" * 16
PASSWORD = "correct horse"
RECOVERY_CODE = bytes(range(20))


@dataclass
class Site:
    """`creator` is who invited this agent."""

    state: StateDirectory
    vault: FakeVault
    source: Path
    directory: Path
    creator: Creator

    @property
    def agent(self) -> Agent:
        """Without provisional safesets, however far a clock jumps."""
        pace = Pace(provisional_seconds=math.inf)
        return Agent(self.state, self.state.load_identity(), self.vault, pace)  # type: ignore[arg-type]

    def define(self, **changes: object) -> None:
        """As the creator wants it now; the vault alone could not."""
        definition = msgspec.structs.replace(self.vault.job.definition, **changes)
        self.vault.job = signed(msgspec.structs.replace(self.vault.job, definition=definition), self.creator)

    async def back_up(self) -> Done:
        return await back_up(self.agent, self.vault.current_job(), lambda phase, figures: None)

    async def restore(
        self,
        paths: Sequence[bytes] = (),
        *,
        sequence: int = 0,
        secret: Secret = PASSWORD,
        overwrite: Overwrite = Overwrite.never,
        is_privileged: bool = False,
    ) -> Restored:
        prepare_root(self.target)
        session = self.agent.session
        unlocked = await unlock(session, self.state, Wanted("job", None, sequence), secret)
        destination = Destination(self.target, overwrite, Rights(is_privileged))
        return await restore(unlocked, wanted_paths(paths), destination, lambda *_: None)

    async def entries(self, sequence: int) -> list[Entry]:
        """What a safeset says of the source and everything below it, but for the places of contents."""
        unlocked = await unlock(self.agent.session, self.state, Wanted("job", None, sequence), PASSWORD)
        damage = Damage()
        found = [entry async for part in walk_safeset(unlocked, bytes(self.source)[1:], damage) for entry in part]
        assert not damage
        for entry in found:
            holes = (entry.extras or {}).get(Extra.HOLES, [])
            stored_bytes = sum(length for _, _, length in entry.extents)
            assert entry.kind != Kind.FILE or stored_bytes + sum(holes[1::2]) == entry.size
        return [replace(entry, extents=()) for entry in found]

    @property
    def target(self) -> Path:
        return self.directory / "target"

    @property
    def restored_source(self) -> Path:
        return self.target / self.source.relative_to("/")


def differences(source: Path, restored: Path) -> str:
    """What rsync, which knows nothing of this project, would have to change."""
    command = ["rsync", "-aHAXSnc", "--delete", "--itemize-changes", f"{source}/", f"{restored}/"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def signed(job: m.AgentJob, creator: Creator) -> m.AgentJob:
    ids = (ACCOUNT_ID, COMPUTER_ID, job.job_id)
    signature = creator.sign_definition(ids, job.revision, job.name, job.definition)
    return msgspec.structs.replace(job, creator_key=creator.public_key, signature=signature)


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of its own makes them, and a guess at the password costs nothing. What both are otherwise is tested in
    keys/test_adopt.py, system/test_apart.py, tests/tools/client/test_slot.py and with the real programs.
    """
    for module in (first_keyring, adopt):
        monkeypatch.setattr(module, "call_apart", call_here)
    monkeypatch.setattr(slot, "_argon2id", cheap_argon2id)


@pytest.fixture
def site(tmp_path: Path, cheap_keys: None) -> Site:
    return make_site(tmp_path)


def call_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """What is handed over and comes back is pickled all the same. It takes a moment, as a process does: what was
    written before is then old enough to be known again by its times.
    """
    time.sleep(0.06)
    failed, answer = pickle.loads(pickle.dumps(apart._answer(*pickle.loads(pickle.dumps((function, arguments))))))
    if failed is not None:
        raise Failure(*failed)
    return answer


def cheap_argon2id(password: str, parameters: SlotParameters) -> bytes:
    if not password:
        raise ValueError("the password is empty")
    return blake3(parameters.salt + unicodedata.normalize("NFC", password).encode()).digest(length=64)


def make_site(directory: Path) -> Site:
    state = create_state(directory / "state")
    source = directory / "source"
    source.mkdir()
    key = create_agent_key()
    creator = Creator()
    secret = seal_job_secret(
        JobSecret(PASSWORD, RECOVERY_CODE), JobAddress(ACCOUNT_ID, COMPUTER_ID, JOB_ID),
        Recipient(key.sealing_public, key.fingerprint), CreatorKey(creator.seed),
    )  # fmt: skip
    definition = m.JobDefinition([bytes(source)], [], False, "", "", 1, 1, False, b"\x80")
    job = m.AgentJob(JOB_ID, "job", definition, 1, bytes(32), bytes(64), secret, None, 0, bytes(32), 1, False)
    vault = FakeVault(signed(job, creator), COMPUTER_ID)
    state.save_keys(key.tls_private_pem, key.sealing_private)
    state.save_identity(
        Identity(
            url="https://vault.example:8443", vault_id=vault.vault_id.hex(), vault_key=vault.vault_key.hex(),
            account_id=ACCOUNT_ID.hex(), computer_id=COMPUTER_ID.hex(), computer="pc1", kind="pc", authority_pem="",
            certificate_pem="", agent_key="", creator=creator.fingerprint_text,
        )
    )  # fmt: skip
    return Site(state, vault, source, directory, creator)
