"""Restore orders that the vault does not keep."""

import dataclasses
import os

import pytest

from tests.vaultd.operations.ordering import Two, sealed_order
from tests.vaultd.operations.sealing import agent_fingerprint
from tests.vaultd.operations.small_site import Site, new_job
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import jobs, restore_orders
from vaultd.operations.restore_orders import NewOrder


@pytest.fixture
def two(site: Site) -> Two:
    return Two(site)


WRONG = {
    "account": (lambda two, ids: (os.urandom(16), *ids[1:]), "account"),
    "computer": (lambda two, ids: (ids[0], two.second.identity.identity_id, ids[2]), "computer"),
    "job": (lambda two, ids: (*ids[:2], os.urandom(16)), "job"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_message_for_something_else_is_not_kept(two: Two, name: str) -> None:
    change, field = WRONG[name]
    agent = two.laptop
    ids = change(two, (agent.identity.account_id, agent.identity.identity_id, two.job_id))
    message = sealed_order(ids, agent_fingerprint(agent.spki, agent.sealing_key))
    with pytest.raises(BadRequest, match=f"message: {field} .* is not the one of this job and computer"):
        two.give(message=message)


def test_a_message_for_another_key_purpose_or_unsigned_is_not_kept(two: Two) -> None:
    ids = (two.laptop.identity.account_id, two.laptop.identity.identity_id, two.job_id)
    with pytest.raises(BadRequest, match="message: agent_key"):
        two.give(message=sealed_order(ids, bytes(20)))
    with pytest.raises(BadRequest, match="message: purpose 1"):
        two.give(message=two.message(two.laptop, purpose=1))
    good = two.message(two.laptop)
    with pytest.raises(BadRequest, match="signature"):
        two.give(message=good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(BadRequest, match="length"):
        two.give(message=two.message(two.laptop, length=65_536))
    assert two.rows() == []


def test_an_order_is_no_secret_of_a_job(two: Two) -> None:
    new = new_job(two.laptop, "other")
    ids = (two.laptop.identity.account_id, two.laptop.identity.identity_id, new.job_id)
    message = sealed_order(ids, agent_fingerprint(two.laptop.spki, two.laptop.sealing_key))
    with pytest.raises(BadRequest, match="purpose 3"):
        jobs.create(two.site.vault, two.administrator, dataclasses.replace(new, secret=message))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("nobody", "home", None), "computer 'nobody' does not exist"),
        (("laptop", "nothing", None), "job 'nothing' does not exist"),
        (("laptop", "home", "nobody"), "computer 'nobody' does not exist"),
    ],
)
def test_what_does_not_exist(two: Two, names: tuple[str, str, str | None], sentence: str) -> None:
    with pytest.raises(NotFound, match=sentence):
        restore_orders.give(two.site.vault, two.administrator, NewOrder(*names, two.message(two.laptop)))


def test_a_job_without_a_keyring_has_nothing_to_restore(two: Two) -> None:
    two.site.job(two.administrator, two.laptop, "new")
    with pytest.raises(Conflict, match="no keyring yet"):
        restore_orders.give(two.site.vault, two.administrator, NewOrder("laptop", "new", None, two.message(two.laptop)))
