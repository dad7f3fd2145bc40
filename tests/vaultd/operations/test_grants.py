"""Grants: without one no computer restores the job of another one, and one is used once."""

import os

import pytest

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_restore import WRONG, request
from vaultd.catalog.rows import decode
from vaultd.errors import BadRequest, Conflict, NotAllowed, NotFound, WrongPassword
from vaultd.operations import fetch, grants, restore, safesets
from vaultd.operations.grants import Granting
from vaultd.records import AuditEntry, Identity

HOME = Granting("laptop", "home", "second")
DAY_SECONDS = 24 * 3600
REFUSED = "this computer has no grant for job 'home' of computer 'laptop', or it is used up or over"


class Two:
    """A job of `laptop` with a safeset, and the computer `second`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.administrator = site.administrator()
        self.backed_up: BackedUp = site.ready(self.administrator)
        sealer = self.backed_up.sealer
        chunk = sealer.record(DATA, os.urandom(3000))
        top = sealer.leaf([chunk])
        site.upload(self.backed_up, chunk, *top)
        payload = sealer.payload(top)
        site.commit(self.backed_up, sealer.root(top, payload), payload)
        self.second: Identity = site.agent(self.administrator, "second").identity

    def give(self, days: int = 7) -> None:
        grants.give(self.site.vault, self.administrator, HOME, days)

    def open(self, **changed: object) -> bytes:
        """As the server does it: opened, noted, answered."""
        asked = request(self.backed_up, computer="laptop", **changed)
        opened = restore.open_restore(self.site.vault, self.second, asked)
        assert opened.needs_grant
        grants.use(self.site.vault, self.second, opened.job_id)
        return opened.ticket

    def refused(self) -> None:
        vault = self.site.vault
        for ask in (
            lambda: restore.parameters(vault, self.second, "laptop", "home"),
            lambda: self.open(),
            lambda: safesets.list_page(vault, self.second, "laptop", "home", None, 9),
        ):
            with pytest.raises(NotAllowed, match=REFUSED) as error:
                ask()
            assert error.value.hint.endswith(": vaultctl safeset grant laptop home --to second")


@pytest.fixture
def two(site: Site) -> Two:
    return Two(site)


def test_without_a_grant_the_right_proof_opens_nothing_of_another_computer(two: Two) -> None:
    two.refused()
    two.give()
    assert two.open()
    two.site.crash()
    assert two.open()


def test_its_own_jobs_need_no_grant(two: Two) -> None:
    laptop = two.backed_up.agent.identity
    for computer in (None, "laptop"):
        assert not restore.open_restore(two.site.vault, laptop, request(two.backed_up, computer=computer)).needs_grant


@pytest.mark.parametrize(("seconds", "is_good"), [(7 * DAY_SECONDS - 1, True), (7 * DAY_SECONDS, False)])
def test_an_unused_grant_ends_by_the_vaults_clock(two: Two, seconds: int, is_good: bool) -> None:
    two.give(days=7)
    two.site.clock.advance(seconds)
    if is_good:
        two.open()
    else:
        two.refused()


@pytest.mark.parametrize(("days", "used_after"), [(7, 0), (7, 7 * DAY_SECONDS - 1), (1, 60)])
def test_a_grant_is_good_for_a_day_from_its_first_use(two: Two, days: int, used_after: int) -> None:
    """Also beyond the day that it was to be used by: a restore that was cut can be finished."""
    two.give(days)
    two.site.clock.advance(used_after)
    two.open()
    two.site.clock.advance(DAY_SECONDS - 1)
    two.site.crash()
    two.open()
    two.site.clock.advance(1)
    two.refused()


def test_a_grant_is_refused_before_its_making(two: Two) -> None:
    two.give()
    two.site.clock.advance(-3600)
    two.refused()


def test_wrong_passwords_use_no_grant(two: Two) -> None:
    two.give()
    with pytest.raises(WrongPassword):
        two.open(proof=WRONG)
    (shown,) = grants.list_all(two.site.vault, two.administrator)
    assert shown.first_used_ns == 0


def test_a_grant_is_for_one_job_and_one_computer(two: Two) -> None:
    site, third = two.site, two.site.agent(two.administrator, "third").identity
    site.keyring(two.backed_up.agent, site.job(two.administrator, two.backed_up.agent, "other"))
    two.give()
    for identity, job in ((third, "home"), (two.second, "other")):
        with pytest.raises(NotAllowed, match="has no grant for job"):
            restore.parameters(site.vault, identity, "laptop", job)


def test_taking_back_ends_what_goes_on(two: Two) -> None:
    vault = two.site.vault
    two.give()
    ticket = two.open()
    stream = fetch.open_fetch(vault, two.second, ticket)
    grants.revoke(vault, two.administrator, HOME)
    with pytest.raises(NotAllowed, match="taken back"):
        stream.fetch([bytes(32)], 100)
    with pytest.raises(NotAllowed, match="unknown or expired"):
        fetch.open_fetch(vault, two.second, ticket)
    two.refused()
    with pytest.raises(NotFound, match="'second' has no grant for job 'home'"):
        grants.revoke(vault, two.administrator, HOME)


def test_a_grant_that_went_away_between_proof_and_answer_is_refused(two: Two) -> None:
    vault = two.site.vault
    two.give()
    opened = restore.open_restore(vault, two.second, request(two.backed_up, computer="laptop"))
    grants.revoke(vault, two.administrator, HOME)
    with pytest.raises(NotAllowed, match=REFUSED):
        grants.use(vault, two.second, opened.job_id)


def test_what_is_given_used_and_taken_back_is_in_the_audit(two: Two) -> None:
    two.give()
    two.open()
    two.open()
    grants.revoke(two.site.vault, two.administrator, HOME)
    with two.site.vault.catalog.read() as view:
        rows = [decode("audit", *row, AuditEntry) for row in view.scan("audit", two.administrator.account_id)]
    entries = [(entry.action, entry.subject) for entry in rows if entry.action.startswith("safeset.")]
    assert entries == [
        ("safeset.grant", "laptop/home to second"),
        ("safeset.use_grant", "home by second"),
        ("safeset.revoke", "laptop/home to second"),
    ]


def test_another_account_grants_nothing(two: Two) -> None:
    other = two.site.administrator("other")
    two.site.agent(other, "second")
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        grants.give(two.site.vault, other, HOME, 7)
    assert grants.list_all(two.site.vault, other) == []


def test_what_makes_no_sense_is_refused(two: Two) -> None:
    with pytest.raises(Conflict, match="job 'home' is one of 'laptop' itself"):
        grants.give(two.site.vault, two.administrator, Granting("laptop", "home", "LAPTOP"), 7)
    for days in (0, 366):
        with pytest.raises(BadRequest, match="days must be 1 to 365"):
            grants.give(two.site.vault, two.administrator, HOME, days)
