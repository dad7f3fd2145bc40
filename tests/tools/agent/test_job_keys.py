"""The keyring of a job: made once, from a secret that is for this agent and was not used."""

import msgspec
import pytest

from tests.tools.agent.conftest import Site
from tools.agent.job_keys import load_job_keys
from tools.client.agent_key import create_agent_key
from tools.client.failure import Failure
from tools.client.job_secret import JobSecret, SecretAddress, seal_job_secret


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
    address = SecretAddress(b"a" * 16, b"c" * 16, b"j" * 16)
    own = _own_key(site)
    secret = seal_job_secret(JobSecret("known to the vault", None), address, own.sealing_public, own.fingerprint)
    site.vault.job = msgspec.structs.replace(site.vault.job, secret=secret)
    with pytest.raises(Failure, match="made already"):
        await load(site)
    assert site.vault.keyring is None


async def test_another_job_under_a_known_name_is_refused(site: Site) -> None:
    await load(site)
    address = SecretAddress(b"a" * 16, b"c" * 16, b"J" * 16)
    own = _own_key(site)
    secret = seal_job_secret(JobSecret("known to the vault", None), address, own.sealing_public, own.fingerprint)
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


async def test_an_answer_that_was_lost_leaves_the_secret_usable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lose(*arguments: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(site.vault, "ask", lose)
        with pytest.raises(ConnectionResetError):
            await load(site)
    await load(site)


@pytest.mark.parametrize("wrong", ["account", "computer", "job", "agent"])
async def test_a_secret_for_somebody_else_is_refused(site: Site, wrong: str) -> None:
    ids = {name: name[:1].encode() * 16 for name in ("account", "computer", "job")}
    if wrong in ids:
        ids[wrong] = b"x" * 16
    key = create_agent_key() if wrong == "agent" else None
    own = site.vault.job.secret
    assert own is not None
    sealing_public = key.sealing_public if key else _own_key(site).sealing_public
    fingerprint = key.fingerprint if key else _own_key(site).fingerprint
    address = SecretAddress(ids["account"], ids["computer"], ids["job"])
    secret = seal_job_secret(JobSecret("password", None), address, sealing_public, fingerprint)
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


def _own_key(site: Site):  # type: ignore[no-untyped-def]
    return type(create_agent_key())(site.state.key_path.read_bytes(), site.state.load_sealing_private())
