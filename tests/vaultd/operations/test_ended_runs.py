"""A run whose complete safeset is there is done, whatever ends it before its agent says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_replacement import replace
from tests.vaultd.operations.test_restore import saved
from tests.vaultd.operations.test_rotation import change_of, rotate
from tests.vaultd.operations.test_safesets import stored_leaf
from tests.vaultd.operations.test_work import state
from vaultd.errors import Conflict
from vaultd.operations import distrust, jobs, removal, runs
from vaultd.operations.distrust import Suspicion
from vaultd.records import Figures, Identity

End = Callable[[Site, Identity, BackedUp], object]


def rotated(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    rotate(site, owner, change_of(backed_up, Ed25519PrivateKey.generate()))


ENDS: dict[str, End] = {
    "job-removed": lambda site, owner, _: removal.remove_job(site.vault, owner, "laptop", "home"),
    "computer-removed": lambda site, owner, _: removal.remove_computer(site.vault, owner, "laptop"),
    "rotated": rotated,
    "replaced": lambda site, owner, _: replace(site, owner),
    "distrusted": lambda site, owner, _: distrust.distrust(site.vault, owner, Suspicion("laptop", 0)),
    "next-run": lambda site, _, backed_up: runs.begin(
        site.vault, backed_up.agent.identity, backed_up.job.job_id, os.urandom(16), None
    ),
}


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def asked(site: Site, owner: Identity) -> BackedUp:
    """Somebody waits for a run, which has begun."""
    agent = site.agent(owner)
    backed_up = site.keyring(agent, site.job(owner, agent))
    jobs.request_run(site.vault, owner, "laptop", "home")
    site.begin(backed_up)
    return backed_up


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_run_whose_safeset_is_there_ends_as_done(site: Site, owner: Identity, asked: BackedUp, end: End) -> None:
    saved(site, asked)
    end(site, owner, asked)
    assert state(site, owner) == ("done", "done")
    site.crash()
    assert state(site, owner) == ("done", "done")


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_one_without_a_safeset_is_aborted(site: Site, owner: Identity, asked: BackedUp, end: End) -> None:
    end(site, owner, asked)
    assert state(site, owner) == ("failed", "aborted")


@pytest.mark.parametrize("outcome", ["done", "warnings"])
def test_its_agent_may_not_say_that_it_ended_well_without_a_safeset(
    site: Site, owner: Identity, asked: BackedUp, outcome: str
) -> None:
    """Nor with a provisional one."""
    end = partial(runs.end, site.vault, asked.agent.identity, asked.sealer.run_id)
    with pytest.raises(Conflict, match="has no complete safeset"):
        end(outcome, Figures())
    top = stored_leaf(site, asked)
    payload = asked.sealer.payload(top)
    site.commit(asked, asked.sealer.root(top, payload, complete=0), payload)
    with pytest.raises(Conflict, match="has no complete safeset"):
        end(outcome, Figures())
    assert state(site, owner) == ("running", "running")
    end("failed", Figures())
    assert state(site, owner) == ("failed", "failed")


def test_its_agent_may_say_yet_how_it_was(site: Site, owner: Identity, asked: BackedUp) -> None:
    """The next run goes on meanwhile, and is not touched."""
    saved(site, asked)
    first, identity = asked.sealer.run_id, asked.agent.identity
    site.begin(asked)
    ended_ns = site.clock.now_ns()
    site.clock.advance(60)
    with pytest.raises(Conflict, match="has ended as done"):
        runs.end(site.vault, identity, first, "failed", Figures())
    for _ in range(2):
        runs.end(site.vault, identity, first, "warnings", Figures(files=5, warnings=1))
    second, shown = jobs.show(site.vault, owner, "laptop", "home").runs
    assert (shown.outcome, shown.end_ns, shown.files) == ("warnings", ended_ns, 5)
    assert second.outcome == "running"
    assert runs.job_of_running(site.vault, identity, asked.sealer.run_id) == asked.job.job_id
    with pytest.raises(Conflict, match="has ended as warnings"):
        runs.end(site.vault, identity, first, "done", Figures(files=6))
    site.begin(asked)
    assert [one.outcome for one in jobs.show(site.vault, owner, "laptop", "home").runs][1] == "aborted"
