"""Whose safeset it is: compared with what the agent knows and was asked for, not with the vault's words."""

import msgspec
import pytest

from tests.tools.agent.conftest import PASSWORD, Site
from tools.agent.safeset.unlock import Unlocked, Wanted, unlock
from tools.client.failure import Failure
from tools.client.keyring import Unattended

OTHER_ID = "ee" * 16


async def opened(site: Site, job: str = "job", computer: str | None = None) -> Unlocked:
    return await unlock(site.agent.session, site.state, Wanted(job, computer, 0), PASSWORD)


@pytest.fixture
async def backed_up(site: Site) -> Site:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    return site


def change_identity(site: Site, **changes: str) -> None:
    site.state.save_identity(msgspec.structs.replace(site.state.load_identity(), **changes))


async def refused(site: Site, match: str, job: str = "job", computer: str | None = None) -> None:
    with pytest.raises(Failure, match=match) as caught:
        await opened(site, job, computer)
    assert caught.value.exit_code == 9


@pytest.mark.parametrize(("job", "computer"), [("JOB", None), ("job", "pc1"), ("Job", "PC1")])
async def test_names_are_compared_regardless_of_case(backed_up: Site, job: str, computer: str | None) -> None:
    await opened(backed_up, job, computer)


async def test_another_job_under_the_name_that_was_asked_for_is_refused(backed_up: Site) -> None:
    await refused(backed_up, "of job 'job' of computer 'pc1', not of job 'photos'", "photos")


async def test_another_computer_under_the_name_that_was_asked_for_is_refused(backed_up: Site) -> None:
    await refused(backed_up, "not of job 'job' of computer 'pc2'", "job", "pc2")


async def test_without_a_name_the_computer_is_this_one(backed_up: Site) -> None:
    change_identity(backed_up, computer="pc2")
    await refused(backed_up, "not of job 'job' of computer 'pc2'")


async def test_another_computer_id_than_this_one_is_refused(backed_up: Site) -> None:
    change_identity(backed_up, computer_id=OTHER_ID)
    await refused(backed_up, "another computer than this one")
    await opened(backed_up, computer="pc1")


async def test_another_keyring_than_that_of_the_state_is_refused(backed_up: Site) -> None:
    job_state = backed_up.state.job(backed_up.vault.job.job_id)
    saved = job_state.load_unattended()
    assert saved is not None
    mine = Unattended.decode(saved)
    other = Unattended(
        bytes.fromhex(OTHER_ID), mine.minimum_suite, mine.generation, mine.kem, mine.public_key, mine.id_key,
        mine.chunker_seed, mine.signing_seed,
    )  # fmt: skip
    job_state.save_unattended(other.encode())
    await refused(backed_up, "another keyring than this computer's job")


async def test_without_a_state_of_the_job_any_keyring_is_taken(backed_up: Site) -> None:
    (backed_up.state.job(backed_up.vault.job.job_id).directory / "unattended").unlink()
    await opened(backed_up)


async def test_a_root_of_a_generation_that_the_keyring_lacks_is_refused(backed_up: Site) -> None:
    root, payload = backed_up.vault.roots[0]
    backed_up.vault.roots[0] = root[:24] + (9).to_bytes(4, "little") + root[28:], payload
    await refused(backed_up, "no generation 9")
