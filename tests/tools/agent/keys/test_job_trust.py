"""A job is run only as the creator whom the agent knows signed it; else nothing is read and nothing is sent."""

import msgpack
import msgspec
import pytest

from protocol.messages import AgentJob
from tests.support.creator import Creator
from tests.tools.agent.conftest import JOB_ID, Site, signed
from tools.agent.keys.job_trust import check_job
from tools.client.failure import Failure

CHANGES: list[tuple[str, object]] = [
    ("include", [b"/etc"]),
    ("include", [b"/a", b"/b"]),
    ("exclude", ["*"]),
    ("one_file_system", True),
    ("schedule", "0 0 * * *"),
    ("retention", "short"),
    ("suite", 2),
    ("compression", 9),
    ("both_sites", True),
    ("options", b"\x81\xa1a\x01"),
]


def check(site: Site, job: AgentJob) -> None:
    check_job(site.state, site.state.load_identity(), job)


async def refused(site: Site, job: AgentJob, words: str, exit_code: int) -> None:
    (site.source / "file").write_bytes(b"content")
    site.vault.job = job
    with pytest.raises(Failure, match=words) as caught:
        await site.back_up()
    assert caught.value.exit_code == exit_code
    assert "nothing was read or sent" in caught.value.hint
    assert site.vault.asked == []


async def test_a_job_of_another_creator_is_refused(site: Site) -> None:
    await refused(site, signed(site.vault.job, Creator()), "takes jobs of", 5)


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=lambda value: str(value)[:20])
async def test_a_changed_definition_is_refused(site: Site, field: str, value: object) -> None:
    definition = msgspec.structs.replace(site.vault.job.definition, **{field: value})
    job = msgspec.structs.replace(site.vault.job, definition=definition)
    await refused(site, job, "otherwise than its creator signed it", 9)


@pytest.mark.parametrize(("field", "value"), [("name", "other"), ("job_id", b"J" * 16), ("revision", 2)])
async def test_a_definition_of_another_job_or_revision_is_refused(site: Site, field: str, value: object) -> None:
    job = msgspec.structs.replace(site.vault.job, **{field: value})
    await refused(site, job, "otherwise than its creator signed it", 9)


@pytest.mark.parametrize("field", ["account_id", "computer_id"])
async def test_a_definition_for_another_computer_is_refused(site: Site, field: str) -> None:
    identity = msgspec.structs.replace(site.state.load_identity(), **{field: "ee" * 16})
    site.state.save_identity(identity)
    await refused(site, site.vault.job, "otherwise than its creator signed it", 9)


async def test_a_revision_does_not_go_back(site: Site) -> None:
    def revised(revision: int) -> AgentJob:
        return signed(msgspec.structs.replace(site.vault.job, revision=revision), site.creator)

    first = revised(1)
    for revision in (1, 1, 3, 3):
        check(site, revised(revision))
    await refused(site, first, "shows revision 1 of job 'job', this agent knows revision 3", 9)
    check(site, revised(4))


async def test_a_refused_revision_is_not_remembered(site: Site) -> None:
    high = msgspec.structs.replace(site.vault.job, revision=9)
    for job in (high, signed(high, Creator())):
        with pytest.raises(Failure):
            check(site, job)
    assert site.state.job(JOB_ID).load_revision() == 0
    check(site, site.vault.job)


async def test_a_restore_does_not_depend_on_it(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    site.vault.job = signed(site.vault.job, Creator())
    assert (await site.restore()).files == 1


async def test_an_option_of_a_later_version_is_named_and_nothing_is_read(site: Site) -> None:
    site.define(options=msgpack.packb({"padding": 4096}))
    await refused(site, site.vault.job, "the option 'padding', which this agent does not know", 1)


async def test_an_option_that_the_creator_did_not_sign_is_refused_as_such(site: Site) -> None:
    definition = msgspec.structs.replace(site.vault.job.definition, options=msgpack.packb({"padding": 4096}))
    job = msgspec.structs.replace(site.vault.job, definition=definition)
    await refused(site, job, "otherwise than its creator signed it", 9)
