"""Jobs: what is refused, what the agent learns, how a run is asked for."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.support.creator import Creator
from tests.vaultd.operations.sealing import agent_fingerprint, job_secret
from tests.vaultd.operations.small_site import CREATOR, DEFINITION, Agent, Site, new_job
from tests.vaultd.operations.test_restore import saved
from vaultd.errors import BadRequest, Conflict, NoSpace, NotFound
from vaultd.operations import job_definition, jobs, removal, retention_types
from vaultd.operations.vault import close_vault, open_vault
from vaultd.records import Identity
from vaultd.store.disk_door import Handle, SystemDoor


@pytest.fixture
def owner(site: Site) -> tuple[Identity, Agent]:
    administrator = site.administrator()
    return administrator, site.agent(administrator)


def test_the_agent_gets_its_job_and_the_secret_as_it_was_sent(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    new = new_job(agent)
    jobs.create(site.vault, administrator, new)
    (job,) = jobs.list_for_agent(site.vault, agent.identity)
    assert (job.job_id, job.name, job.definition, job.secret) == (new.job_id, "home", DEFINITION, new.secret)
    assert (job.revision, job.creator_key, job.signature) == (1, CREATOR.public_key, new.signature)
    assert (job.keyring_id, job.head_sequence, job.head_hash, job.timeline) == (None, 0, bytes(32), 1)


def key_files(site: Site, job_id: bytes) -> list[Path]:
    found = sorted(site.config.directory.glob(f"disk-*/erase-keys/{job_id.hex()}.*"))
    assert len(found) == 2
    return found


def spoil(site: Site, job_id: bytes) -> None:
    for path in key_files(site, job_id):
        path.write_bytes(bytes(path.stat().st_size))


def make_unreadable(site: Site, job_id: bytes) -> None:
    for path in key_files(site, job_id):
        path.unlink()
        path.mkdir()


def spoil_and_take_away(site: Site, job_id: bytes) -> None:
    """The copy on the disk that is away may be whole."""
    first, second = key_files(site, job_id)
    close_vault(site.vault)
    disk = second.parents[1]
    disk.rename(disk.with_name("away"))
    disk.mkdir()
    first.write_bytes(bytes(first.stat().st_size))
    site.vault = open_vault(site.config, site.clock, SystemDoor())


@pytest.mark.parametrize(
    ("fault", "lost"), [(spoil, "damaged"), (make_unreadable, "unavailable"), (spoil_and_take_away, "unavailable")]
)
def test_a_secret_that_does_not_open_costs_its_own_job_only(
    site: Site, owner: tuple[Identity, Agent], fault: Callable[[Site, bytes], None], lost: str
) -> None:
    administrator, agent = owner
    bad, good = new_job(agent, "bad"), new_job(agent, "good")
    for new in (bad, good):
        jobs.create(site.vault, administrator, new)
    fault(site, bad.job_id)
    found = {job.name: (job.secret, job.secret_lost) for job in jobs.list_for_agent(site.vault, agent.identity)}
    assert found == {"bad": (None, lost), "good": (good.secret, None)}


def test_a_computer_has_a_bounded_number_of_jobs(
    site: Site, owner: tuple[Identity, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them come in one answer. The name of a removed one of which nothing is stored makes room again."""
    monkeypatch.setattr(job_definition, "COMPUTER_JOBS_MAX", 2)
    administrator, agent = owner
    first = new_job(agent, "one")
    for new in (first, new_job(agent, "two"), first):
        jobs.create(site.vault, administrator, new)
    with pytest.raises(Conflict, match="computer 'laptop' has 2 jobs, .*: more than 2 are not possible"):
        jobs.create(site.vault, administrator, new_job(agent, "three"))
    removal.remove_job(site.vault, administrator, "laptop", "one")
    jobs.create(site.vault, administrator, new_job(agent, "one"))
    jobs.create(site.vault, administrator, new_job(site.agent(administrator, "other"), "one"))
    assert len(jobs.list_for_agent(site.vault, agent.identity)) == 2


def test_the_definitions_of_a_computer_have_a_bounded_size(
    site: Site, owner: tuple[Identity, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_definition, "COMPUTER_DEFINITIONS_BYTES_MAX", 1000)
    administrator, agent = owner
    large = msgspec.structs.replace(DEFINITION, include=(b"/" + b"d" * 500,))
    jobs.create(site.vault, administrator, new_job(agent, "one", large))
    with pytest.raises(Conflict, match="of all jobs of computer 'laptop' would have 1[0-9]{3} bytes together"):
        jobs.create(site.vault, administrator, new_job(agent, "two", large))
    jobs.create(site.vault, administrator, new_job(agent, "small"))


def test_a_job_is_one_entry_of_the_journal(site: Site, owner: tuple[Identity, Agent]) -> None:
    """So that no crash leaves a job without its secret, its owner's row or its line in the audit."""
    administrator, agent = owner
    before = site.vault.store.position.number
    jobs.create(site.vault, administrator, new_job(agent))
    (entry,) = [entry for _, _, entry in site.vault.store.replay(before)]
    tables = sorted(table for table, _, _ in entry.changes)
    assert tables == ["audit", "job_names", "job_secrets", "jobs", "owners"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_space_and_the_vault_goes_on(
    site: Site, owner: tuple[Identity, Agent], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    administrator, agent = owner
    write = SystemDoor.pwrite

    def full(door: SystemDoor, handle: Handle, view: bytes, offset: int) -> None:
        if handle.path.parent.name == "erase-keys":
            raise OSError(number, "told to fail")
        write(door, handle, view, offset)

    with monkeypatch.context() as patched:
        patched.setattr(SystemDoor, "pwrite", full)
        with pytest.raises(NoSpace, match="no room left"):
            jobs.create(site.vault, administrator, new_job(agent))
    assert jobs.list_for_agent(site.vault, agent.identity) == []
    jobs.create(site.vault, administrator, new_job(agent))


def test_the_secret_is_nowhere_on_disk_as_it_was_sent(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    new = new_job(agent)
    jobs.create(site.vault, administrator, new)
    part = new.secret[200:240]
    for path in site.config.directory.rglob("*"):
        assert not path.is_file() or part not in path.read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"include": ()}, "include must have 1 to 1000 paths, not 0"),
        ({"include": (b"home",)}, "each path must be absolute"),
        ({"include": (b"/a\0b",)}, "without a zero byte"),
        ({"exclude": ("",)}, "exclude: a pattern must have 1"),
        ({"exclude": ("é" * 1024,) * 96 + ("x",)}, "include and exclude have 196614 bytes together, more than 196608"),
        ({"schedule": "daily"}, "schedule must be empty or the five fields"),
        ({"schedule": "* * * *"}, "schedule must be empty or the five fields"),
        ({"suite": 3}, "suite 3 is unknown"),
        ({"compression": 10}, "compression must be 0 to 9, not 10"),
        ({"retention": "a/b"}, "retention"),
    ],
)
def test_a_definition_that_cannot_be_right_is_refused(
    site: Site, owner: tuple[Identity, Agent], changed: dict[str, object], message: str
) -> None:
    administrator, agent = owner
    new = new_job(agent, definition=msgspec.structs.replace(DEFINITION, **changed))
    with pytest.raises(BadRequest, match=message):
        jobs.create(site.vault, administrator, new)
    assert jobs.list_all(site.vault, administrator, "laptop") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"revision": 2},
        {"creator_key": Creator().public_key},
        {"creator_key": b"\xff" * 32},
        {"signature": bytes(64)},
        {"definition": msgspec.structs.replace(DEFINITION, include=(b"/etc",))},
        {"definition": msgspec.structs.replace(DEFINITION, both_sites=True)},
    ],
    ids=["name", "revision", "another key", "no key", "signature", "include", "both sites"],
)
def test_what_the_creator_did_not_sign_is_refused(
    site: Site, owner: tuple[Identity, Agent], changed: dict[str, object]
) -> None:
    administrator, agent = owner
    with pytest.raises(BadRequest, match="signature is not that of creator_key"):
        jobs.create(site.vault, administrator, replace(new_job(agent), **changed))
    assert jobs.list_all(site.vault, administrator, "laptop") == []


def test_a_secret_that_its_creator_did_not_sign_is_refused(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    new = new_job(agent)
    for at in (60, 200, -1):
        changed = bytearray(new.secret)
        changed[at] ^= 1
        with pytest.raises(BadRequest, match="secret: signature is not that of its creator_key"):
            jobs.create(site.vault, administrator, replace(new, secret=bytes(changed)))


@pytest.mark.parametrize("which", ["account", "computer", "job", "agent_key", "creator_key"])
def test_a_secret_for_something_else_is_refused(site: Site, owner: tuple[Identity, Agent], which: str) -> None:
    administrator, agent = owner
    new = new_job(agent)
    bound = {
        "account": agent.identity.account_id,
        "computer": agent.identity.identity_id,
        "job": new.job_id,
        "agent_key": agent_fingerprint(agent.spki, agent.sealing_key),
    }
    if which in bound:
        bound[which] = os.urandom(len(bound[which]))
    *ids, fingerprint = bound.values()
    secret = job_secret(tuple(ids), fingerprint, Creator() if which == "creator_key" else CREATOR)
    with pytest.raises(BadRequest, match=f"secret: {which} "):
        jobs.create(site.vault, administrator, replace(new, secret=secret))


def test_names_and_ids_are_used_once(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    first = jobs.create(site.vault, administrator, new_job(agent))
    with pytest.raises(Conflict, match="job 'home' exists already"):
        jobs.create(site.vault, administrator, new_job(agent))
    other = site.administrator("other")
    stranger = site.agent(other, "laptop")
    with pytest.raises(Conflict, match="cannot be used"):
        jobs.create(site.vault, other, new_job(stranger, job_id=first.job_id))


def test_the_same_request_again_is_answered_again(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    new = new_job(agent)
    first = jobs.create(site.vault, administrator, new)
    site.clock.advance(60)
    assert jobs.create(site.vault, administrator, new) == first
    assert len(jobs.list_all(site.vault, administrator, "laptop")) == 1
    other_secret = new_job(agent, job_id=new.job_id)
    other_schedule = msgspec.structs.replace(DEFINITION, schedule="")
    others = [new_job(agent, definition=other_schedule, job_id=new.job_id), new_job(agent, "other", job_id=new.job_id)]
    for changed in (other_secret, *(replace(other, secret=new.secret) for other in others)):
        with pytest.raises(Conflict):
            jobs.create(site.vault, administrator, changed)


def test_a_request_waits_runs_and_ends(site: Site) -> None:
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    asked = jobs.request_run(site.vault, administrator, "laptop", "home")
    assert asked == jobs.Asked(1, agent.identity.computer_id, backed_up.sealer.job_id)
    assert jobs.request_run(site.vault, administrator, "laptop", "home") == asked
    waiting = jobs.request_state(site.vault, administrator, "laptop", "home", 1)
    assert (waiting.state, waiting.job_id, waiting.run) == ("waiting", backed_up.sealer.job_id, None)
    assert jobs.list_for_agent(site.vault, agent.identity)[0].run_requested
    site.begin(backed_up)
    assert not jobs.list_for_agent(site.vault, agent.identity)[0].run_requested
    assert jobs.request_state(site.vault, administrator, "laptop", "home", 1).state == "running"
    saved(site, backed_up)
    site.end(backed_up)
    state = jobs.request_state(site.vault, administrator, "laptop", "home", 1)
    assert state.run is not None
    assert (state.state, state.run.run_id) == ("done", backed_up.sealer.run_id)
    assert jobs.request_run(site.vault, administrator, "laptop", "home").number == 2


def test_a_run_that_was_replaced_failed_its_request(site: Site) -> None:
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    jobs.request_run(site.vault, administrator, "laptop", "home")
    site.begin(backed_up)
    site.begin(backed_up)
    assert jobs.request_state(site.vault, administrator, "laptop", "home", 1).state == "failed"


def test_an_unknown_request_is_not_found(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    site.job(administrator, agent)
    for number in (0, 1):
        with pytest.raises(NotFound, match=f"request {number} of job 'home' does not exist"):
            jobs.request_state(site.vault, administrator, "laptop", "home", number)


def test_jobs_of_others_do_not_exist(site: Site) -> None:
    site.ready()
    other = site.administrator("other")
    site.agent(other, "desk")
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        jobs.show(site.vault, other, "laptop", "home")
    with pytest.raises(NotFound, match="job 'home' does not exist on computer 'desk'") as caught:
        jobs.show(site.vault, other, "desk", "home")
    assert caught.value.hint == "its administrator sees the jobs with `vaultctl job list desk`"


def test_show_lists_runs_newest_first(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    first = backed_up.sealer.run_id
    saved(site, backed_up)
    site.end(backed_up)
    site.begin(backed_up)
    details = jobs.show(site.vault, administrator, "laptop", "home")
    assert [run.run_id for run in details.runs] == [backed_up.sealer.run_id, first]
    assert [run.outcome for run in details.runs] == ["running", "done"]
    assert (details.job.last_outcome, details.job.keyring_ready) == ("running", True)


def test_a_retention_type_that_is_not_there_is_refused(site: Site, owner: tuple[Identity, Agent]) -> None:
    administrator, agent = owner
    weekly = new_job(agent, definition=msgspec.structs.replace(DEFINITION, retention="weekly"))
    with pytest.raises(NotFound, match="retention type 'weekly' does not exist"):
        jobs.create(site.vault, administrator, weekly)
    retention_types.set_type(site.vault, administrator, "Weekly", 90, 12)
    assert jobs.create(site.vault, administrator, weekly).definition.retention == "weekly"
