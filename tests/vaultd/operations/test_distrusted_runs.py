"""Which runs the distrust of a computer is about: all that were not over before the time, under whatever name."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import Agent, BackedUp, Site
from tests.vaultd.operations.test_keyring_removed_job import joined
from tests.vaultd.operations.test_restore import saved
from vaultd.catalog.runs import list_runs_back
from vaultd.errors import Conflict
from vaultd.operations import distrust, removal, runs
from vaultd.operations.distrust import Distrusted, Suspicion
from vaultd.records import Identity

HOUR_SECONDS = 3600


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def backed_up(site: Site, owner: Identity) -> BackedUp:
    """A run of it goes on."""
    return site.ready(owner)


def uploaded(site: Site, backed_up: BackedUp) -> bytes:
    """The id of what nobody else has."""
    record = backed_up.sealer.record(DATA, os.urandom(50))
    site.upload(backed_up, record)
    return id_of(record)


def is_missing(site: Site, backed_up: BackedUp, id_: bytes) -> bool:
    (missing,) = site.vault.store.missing(backed_up.sealer.keyring_id, [id_])
    return missing


def require_meant(site: Site, owner: Identity, since_ns: int, count: int) -> None:
    suspicion = Suspicion("laptop", since_ns)
    assert distrust.count(site.vault, owner, suspicion) == Distrusted(count, count)
    assert distrust.distrust(site.vault, owner, suspicion) == Distrusted(count, count)


def test_a_run_that_began_before_and_goes_on_is_meant(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """Whoever took the computer in the middle of its run goes on with it, under a key of his own."""
    site.clock.advance(HOUR_SECONDS)
    since_ns = site.clock.now_ns()
    identity, sealer = backed_up.agent.identity, backed_up.sealer
    runs.begin(site.vault, identity, sealer.job_id, sealer.run_id, None)
    poison = uploaded(site, backed_up)
    require_meant(site, owner, since_ns, 1)
    assert is_missing(site, backed_up, poison)
    with pytest.raises(Conflict, match="has ended as aborted"):
        uploaded(site, backed_up)


@pytest.mark.parametrize(("later_ns", "count"), [(0, 1), (1, 0)], ids=["ended-then", "ended-before"])
def test_a_run_that_began_before_is_meant_unless_it_ended_before(
    site: Site, owner: Identity, backed_up: BackedUp, later_ns: int, count: int
) -> None:
    poison = uploaded(site, backed_up)
    site.clock.advance(HOUR_SECONDS)
    site.end(backed_up)
    since_ns = site.clock.now_ns() + later_ns
    site.clock.advance(HOUR_SECONDS)
    require_meant(site, owner, since_ns, count)
    assert is_missing(site, backed_up, poison) is bool(count)


def test_a_later_run_under_a_clock_that_was_set_back_is_meant(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    site.end(backed_up)
    site.clock.advance(HOUR_SECONDS)
    since_ns = site.clock.now_ns()
    site.begin(backed_up)
    site.end(backed_up)
    site.clock.advance(-HOUR_SECONDS // 2)
    site.begin(backed_up)
    poison = uploaded(site, backed_up)
    site.end(backed_up)
    with site.vault.catalog.read() as view:
        newest = next(iter(list_runs_back(view, backed_up.job.account_id, backed_up.job.job_id)))
    assert newest.end_ns < since_ns
    require_meant(site, owner, since_ns, 2)
    assert is_missing(site, backed_up, poison)


def computer_again(site: Site, owner: Identity, agent: Agent) -> None:
    removal.remove_computer(site.vault, owner, "desktop")
    site.agent(owner, "desktop")


def job_again(site: Site, owner: Identity, agent: Agent) -> None:
    removal.remove_job(site.vault, owner, "desktop", "second")
    site.job(owner, agent, "second")


@pytest.mark.parametrize("again", [computer_again, job_again], ids=["computer", "job"])
def test_runs_of_what_had_the_name_before_are_meant(
    site: Site, owner: Identity, backed_up: BackedUp, again: Callable[[Site, Identity, Agent], None]
) -> None:
    """A thief stored under the keyring of others and made no safeset, so that the name was free again."""
    saved(site, backed_up)
    agent = site.agent(owner, "desktop")
    second = joined(site, owner, backed_up, agent)
    poison = uploaded(site, second)
    again(site, owner, agent)
    assert not is_missing(site, backed_up, poison)
    assert distrust.distrust(site.vault, owner, Suspicion("desktop", 0)) == Distrusted(1, 1)
    assert is_missing(site, backed_up, poison)
    site.crash()
    assert is_missing(site, backed_up, poison)
    distrust.trust_again(site.vault, owner, Suspicion("desktop", 0))
    assert not is_missing(site, backed_up, poison)
