"""Taking a job's keys up on a computer that replaces another one: from the slot, after the whole chain was seen."""

import os
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.tools.agent.conftest import JOB_ID, PASSWORD, RECOVERY_CODE, Site
from tests.tools.agent.forging import PREVIOUS, forged
from tests.tools.agent.keys import test_rotated_keyring
from tools.agent.keys import adopt as adopt_module
from tools.agent.keys.adopt import Adopting, adopt
from tools.agent.safeset.unlock import Secret
from tools.agent.state import KnownHead
from tools.client.failure import Failure

rotated = test_rotated_keyring.rotated


@pytest.fixture
def cheap_keys() -> None:
    """Here they are made and opened as they are for people, in processes of their own."""


async def take_up(site: Site, secret: Secret = PASSWORD) -> KnownHead:
    agent = site.agent
    return await adopt(Adopting(agent.session, site.state, agent.identity, site.vault.current_job()), secret, 1)


@pytest.fixture
async def replaced(site: Site) -> Site:
    """Three safesets, and the state of another machine under the same identity."""
    (site.source / "file").write_bytes(os.urandom(100_000))
    for _ in range(3):
        await site.back_up()
    shutil.rmtree(site.state.path / "jobs")
    return site


def has_keys(site: Site) -> bool:
    return bool(list(site.state.path.rglob("unattended")))


async def test_without_them_a_backup_says_how_to_take_them_up(replaced: Site) -> None:
    with pytest.raises(Failure, match="another state directory") as caught:
        await replaced.back_up()
    assert "`vault-agent adopt job`" in caught.value.hint


@pytest.mark.parametrize("secret", [PASSWORD, RECOVERY_CODE], ids=["password", "code"])
async def test_the_next_safeset_follows_the_last(replaced: Site, secret: Secret) -> None:
    head = await take_up(replaced, secret)
    assert head.sequence == 3
    done = await replaced.back_up()
    assert (done.safeset, done.sent.content_bytes) == (4, 0)
    await replaced.restore(sequence=1)


async def test_a_wrong_password_takes_nothing_up(replaced: Site) -> None:
    for secret in ("wrong", os.urandom(20)):
        with pytest.raises(Failure) as caught:
            await take_up(replaced, secret)
        assert caught.value.exit_code == 12
        assert ("--rotate" in caught.value.hint) == isinstance(secret, bytes)
    assert not has_keys(replaced)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_every_safeset_is_to_be_the_jobs_own(replaced: Site, number: int) -> None:
    root, payload = replaced.vault.roots[number - 1]
    replaced.vault.roots[number - 1] = forged(root, Ed25519PrivateKey.generate(), PREVIOUS, root[88:120]), payload
    await refused(replaced)


async def test_none_is_to_be_left_out(replaced: Site) -> None:
    del replaced.vault.roots[1]
    await refused(replaced)


async def refused(site: Site) -> None:
    with pytest.raises(Failure, match="went back in time or lost safesets") as caught:
        await take_up(site)
    assert (caught.value.exit_code, caught.value.hint) == (9, "nothing was taken up; ask the vault's operator")
    assert not has_keys(site)
    with pytest.raises(Failure, match="another state directory"):
        await site.back_up()


async def test_the_private_keys_are_in_child_processes_only(replaced: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*_: object) -> None:
        raise AssertionError("a slot was opened in the agent's own process")

    monkeypatch.setattr(adopt_module, "derive_keys", here)
    monkeypatch.setattr(adopt_module, "open_slot_copies", here)
    assert (await take_up(replaced)).sequence == 3


async def test_a_definition_that_the_creator_did_not_sign_is_not_taken_up(replaced: Site) -> None:
    replaced.vault.job.definition.include.append(b"/etc")
    with pytest.raises(Failure, match="otherwise than its creator signed it"):
        await take_up(replaced)
    assert not has_keys(replaced)


async def test_safesets_of_earlier_generations_are_followed(rotated: Site) -> None:
    shutil.rmtree(rotated.state.path / "jobs")
    await take_up(rotated)
    saved = rotated.state.job(JOB_ID).load_head()
    assert saved is not None
    assert (saved.sequence, saved.generation) == (1, 1)
    # Where a person gives the head up, the chain is followed from the first safeset on again.
    earlier = rotated.state.job(JOB_ID).load_signers()
    assert list(earlier) == [1]
    Ed25519PublicKey.from_public_bytes(earlier[1]).verify(
        rotated.vault.roots[0][0][296:], b"safeset root v1" + rotated.vault.roots[0][0][:296]
    )


async def test_keys_that_are_here_are_not_taken_up_again(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    with pytest.raises(Failure, match="has the keys of job 'job' already") as caught:
        await take_up(site)
    assert caught.value.hint == "run `vault-agent backup job`"
