"""The keyring of a job: made once, from a secret that is for this agent and was not used."""

from dataclasses import replace

import msgspec
import pytest

from tests.support.creator import Creator
from tests.tools.agent.conftest import Site
from tools.agent.keys.job_keys import load_job_keys
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.creator_key import CreatorKey
from tools.client.failure import Failure
from tools.client.job_definition import JobAddress
from tools.client.job_secret import JobSecret, Recipient, seal_job_secret
from tools.client.keyring import Unattended


async def load(site: Site) -> object:
    identity = site.state.load_identity()
    return await load_job_keys(site.vault, site.state, identity, site.vault.current_job())  # type: ignore[arg-type]


async def test_the_keyring_is_made_once(site: Site) -> None:
    first = await load(site)
    assert await load(site) == first
    assert site.vault.keyring is not None
    assert [upload.slot[5] for upload in site.vault.keyring.slots] == [1, 2]


async def test_a_used_secret_is_refused(site: Site) -> None:
    await load(site)
    site.vault.keyring = None
    with pytest.raises(Failure, match="again"):
        await load(site)


async def test_another_secret_for_a_job_that_has_its_keyring_is_refused(site: Site) -> None:
    await load(site)
    site.vault.keyring = None
    secret = _sealed(site, JobAddress(b"a" * 16, b"c" * 16, b"j" * 16))
    site.vault.job = msgspec.structs.replace(site.vault.job, secret=secret)
    with pytest.raises(Failure, match="made already"):
        await load(site)
    assert site.vault.keyring is None


async def test_a_job_whose_suite_its_keyring_does_not_take_is_refused(site: Site) -> None:
    await site.back_up()
    job_state = site.state.job(site.vault.job.job_id)
    saved = job_state.load_unattended()
    assert saved is not None
    job_state.save_unattended(replace(Unattended.decode(saved), minimum_suite=2).encode())
    stored = len(site.vault.records)
    with pytest.raises(Failure, match="suite 1 is below 2, the minimum of its keyring") as caught:
        await site.back_up()
    assert caught.value.code == "conflict"
    assert (len(site.vault.records), len(site.vault.roots)) == (stored, 1)
    site.define(suite=2)
    await site.back_up()
    assert len(site.vault.roots) == 2


async def test_another_job_under_a_known_name_is_refused(site: Site) -> None:
    await load(site)
    secret = _sealed(site, JobAddress(b"a" * 16, b"c" * 16, b"J" * 16))
    site.vault.job = msgspec.structs.replace(site.vault.job, job_id=b"J" * 16, secret=secret)
    site.vault.keyring = None
    with pytest.raises(Failure, match="another job under the name") as caught:
        await load(site)
    assert caught.value.exit_code == 6
    assert str(site.state.names_path) in caught.value.hint
    assert site.vault.keyring is None
    site.state.names_path.unlink()
    await load(site)
    assert site.vault.keyring is not None


@pytest.mark.parametrize(("lost", "exit_code"), [("damaged", 9), ("unavailable", 8)])
async def test_a_secret_that_the_vault_cannot_give_is_named(site: Site, lost: str, exit_code: int) -> None:
    site.vault.job, site.vault.secret_lost = msgspec.structs.replace(site.vault.job, secret=None), lost  # type: ignore[assignment]
    with pytest.raises(Failure, match="what was sealed for this agent of job 'job'") as caught:
        await load(site)
    assert caught.value.exit_code == exit_code
    assert caught.value.hint
    assert site.vault.keyring is None


async def test_an_answer_that_was_lost_leaves_the_secret_usable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lose(*arguments: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(site.vault, "ask", lose)
        with pytest.raises(ConnectionResetError):
            await load(site)
    await load(site)


@pytest.mark.parametrize("wrong", ["account", "computer", "job", "agent", "creator"])
async def test_a_secret_for_or_of_somebody_else_is_refused(site: Site, wrong: str) -> None:
    ids = {name: name[:1].encode() * 16 for name in ("account", "computer", "job")}
    if wrong in ids:
        ids[wrong] = b"x" * 16
    agent_key = create_agent_key() if wrong == "agent" else None
    creator = Creator() if wrong == "creator" else None
    secret = _sealed(site, JobAddress(ids["account"], ids["computer"], ids["job"]), agent_key, creator)
    site.vault.job = msgspec.structs.replace(site.vault.job, secret=secret)
    with pytest.raises(Failure) as caught:
        await load(site)
    assert caught.value.exit_code == 9
    assert site.vault.keyring is None


async def test_a_keyring_of_another_state_is_refused(site: Site) -> None:
    await load(site)
    (site.state.job(site.vault.job.job_id).directory / "unattended").unlink()
    with pytest.raises(Failure, match="another state"):
        await load(site)


async def test_a_secret_whose_signature_does_not_hold_is_refused(site: Site) -> None:
    own = site.vault.job.secret
    assert own is not None
    site.vault.job = msgspec.structs.replace(site.vault.job, secret=own[:-64] + bytes(64))
    with pytest.raises(Failure, match="signature does not hold") as caught:
        await load(site)
    assert caught.value.exit_code == 9
    assert site.vault.keyring is None


def _sealed(
    site: Site, address: JobAddress, agent_key: AgentKey | None = None, creator: Creator | None = None
) -> bytes:
    key = agent_key or AgentKey(site.state.key_path.read_bytes(), site.state.load_sealing_private())
    recipient = Recipient(key.sealing_public, key.fingerprint)
    signer = CreatorKey((creator or site.creator).seed)
    return seal_job_secret(JobSecret("known to the vault", None), address, recipient, signer)
