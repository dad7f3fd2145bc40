"""What an agent's service is told to do, and what a cancel ends."""

import pytest

from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_safesets import stored_leaf
from vaultd.errors import Conflict, NotFound
from vaultd.operations import jobs, runs, work
from vaultd.records import Figures, Identity


@pytest.fixture
def asked(site: Site) -> tuple[Identity, BackedUp]:
    """Somebody has asked for a run, and none has begun."""
    administrator = site.administrator()
    agent = site.agent(administrator)
    backed_up = site.keyring(agent, site.job(administrator, agent))
    jobs.request_run(site.vault, administrator, "laptop", "home")
    return administrator, backed_up


def state(site: Site, administrator: Identity, request: int = 1) -> tuple[str, str | None]:
    found = jobs.request_state(site.vault, administrator, "laptop", "home", request)
    return found.state, None if found.run is None else found.run.outcome


def test_an_agent_is_told_of_its_own_jobs_that_are_asked_for(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    administrator, backed_up = asked
    site.job(administrator, backed_up.agent, "other")
    neighbour = site.agent(administrator, "desk")
    assert work.asked_jobs(site.vault, backed_up.agent.identity) == [backed_up.sealer.job_id]
    assert work.asked_jobs(site.vault, neighbour.identity) == []
    site.begin(backed_up)
    assert work.asked_jobs(site.vault, backed_up.agent.identity) == []


def test_a_request_that_waits_is_taken_back(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    administrator, backed_up = asked
    done = work.cancel(site.vault, administrator, "laptop", "home")
    identity = backed_up.agent.identity
    assert done == work.Cancelled(identity.computer_id, backed_up.sealer.job_id, request=True, run=False)
    assert work.asked_jobs(site.vault, identity) == []
    assert state(site, administrator) == ("aborted", None)
    site.begin(backed_up)  # a run of somebody else's asking is not the cancelled one
    assert state(site, administrator) == ("aborted", None)
    assert jobs.request_run(site.vault, administrator, "laptop", "home").number == 2
    assert state(site, administrator, 2) == ("waiting", None)


def test_a_cancelled_run_is_over_for_the_vault(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    administrator, backed_up = asked
    site.begin(backed_up)
    done = work.cancel(site.vault, administrator, "laptop", "home")
    assert (done.request, done.run) == (False, True)
    assert state(site, administrator) == ("failed", "aborted")
    identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
    with pytest.raises(Conflict, match="has ended as aborted"):
        runs.add_key(site.vault, identity, run_id, backed_up.sealer.make_sealed_key())
    # What its agent says when it heard of it.
    runs.end(site.vault, identity, run_id, "aborted", Figures())
    site.crash()
    assert state(site, administrator) == ("failed", "aborted")


def test_both_are_cancelled_at_once(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    administrator, backed_up = asked
    site.begin(backed_up)
    jobs.request_run(site.vault, administrator, "laptop", "home")
    done = work.cancel(site.vault, administrator, "laptop", "home")
    assert (done.request, done.run) == (True, True)
    assert [state(site, administrator, number) for number in (1, 2)] == [("failed", "aborted"), ("aborted", None)]


def test_nothing_is_left_to_cancel(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    administrator, backed_up = asked
    site.begin(backed_up)
    site.end(backed_up)
    with pytest.raises(Conflict, match="no run of job 'home' goes on or is asked for"):
        work.cancel(site.vault, administrator, "laptop", "home")
    assert state(site, administrator) == ("failed", "failed")


def test_a_safeset_that_is_there_is_not_cancelled(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    """Its agent has only to say that the run ended."""
    administrator, backed_up = asked
    site.begin(backed_up)
    top = stored_leaf(site, backed_up)
    payload = backed_up.sealer.payload(top)
    site.commit(backed_up, backed_up.sealer.root(top, payload), payload)
    with pytest.raises(Conflict, match="no run"):
        work.cancel(site.vault, administrator, "laptop", "home")
    site.end(backed_up)
    assert state(site, administrator) == ("done", "done")


def test_nobody_cancels_a_job_of_others(site: Site, asked: tuple[Identity, BackedUp]) -> None:
    stranger = site.administrator("stranger")
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        work.cancel(site.vault, stranger, "laptop", "home")
    assert state(site, asked[0]) == ("waiting", None)
