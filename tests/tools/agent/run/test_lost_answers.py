"""Steps that the vault took and whose answer did not arrive: the next try knows them."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import JOB_ID, Site
from tools.agent.commands import register
from tools.agent.commands.register import command
from tools.agent.keys.job_keys import load_job_keys
from tools.client.failure import Failure

Patch = pytest.MonkeyPatch


async def load(site: Site) -> object:
    identity = site.state.load_identity()
    return await load_job_keys(site.vault, site.state, identity, site.vault.current_job())  # type: ignore[arg-type]


async def test_a_keyring_whose_answer_was_lost_is_not_made_again(site: Site, monkeypatch: Patch) -> None:
    real = site.vault.ask

    async def lose(*arguments: Any) -> None:
        await real(*arguments)
        raise ConnectionLost("The connection was lost.")

    with monkeypatch.context() as patch:
        patch.setattr(site.vault, "ask", lose)
        with pytest.raises(ConnectionLost):
            await load(site)
    await load(site)
    await load(site)
    site.vault.keyring = None
    with pytest.raises(Failure, match="made already"):
        await load(site)


async def test_a_keyring_that_arrives_after_the_next_try_is_used(site: Site, monkeypatch: Patch) -> None:
    """The first request was on its way for long: the second one meets what it made."""
    real, sent = site.vault.ask, []

    async def lose(*arguments: Any) -> None:
        sent.append(arguments)
        raise ConnectionLost("The connection was lost.")

    async def be_late(*arguments: Any) -> None:
        await real(*sent[0])
        raise RemoteProtocolError(ErrorCode.conflict, "The job has its keyring already.")

    for ask, error in ((lose, ConnectionLost), (lose, ConnectionLost), (be_late, RemoteProtocolError)):
        with monkeypatch.context() as patch:
            patch.setattr(site.vault, "ask", ask)
            with pytest.raises(error):
                await load(site)
    (site.source / "file").touch()
    assert (await site.back_up()).safeset == 1
    assert (await site.restore()).files == 1
    state = site.state.job(JOB_ID)
    assert [path.name for path in state.directory.glob("unattended*")] == ["unattended"]
    assert state.has_made_keyring


def test_the_keys_are_in_the_state_before_the_code_is_used(tmp_path: Path, monkeypatch: Patch) -> None:
    seen: list[bytes] = []

    def vault_is_asked(work: Any) -> Any:
        seen.append((tmp_path / "state" / "agent.key").read_bytes() + (tmp_path / "state" / "sealing.key").read_bytes())
        raise ConnectionLost("The connection was lost.")

    monkeypatch.setattr(register, "run_loop", vault_is_asked)
    monkeypatch.setattr(register, "state_path", lambda ctx: tmp_path / "state")
    monkeypatch.setattr(register, "parse_invite_code", lambda code: None)
    for _ in range(2):
        result = CliRunner().invoke(command, ["https://vault.example", "--code", "CODE"])
        assert result.exit_code != 0
    assert seen[0] == seen[1]
    assert b"PRIVATE KEY" in seen[0]
    assert len(seen[0]) > 96
