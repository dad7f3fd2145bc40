"""Leave to restore on another computer: as long as an order for it is open, whatever else is given and taken back."""

from collections.abc import Callable
from random import Random

import pytest

from tests.vaultd.operations.ordering import DAY_SECONDS, Two
from tests.vaultd.operations.small_site import Site, certificate_request
from vaultd.errors import NotAllowed
from vaultd.operations import computers, grants, restore_orders
from vaultd.operations.computers import RegistrationRequest
from vaultd.operations.grants import Granting
from vaultd.records import OrderState

GRANTING = Granting("laptop", "home", "second")


@pytest.fixture
def two(site: Site) -> Two:
    return Two(site)


def cancel(two: Two, number: int) -> None:
    restore_orders.cancel(two.site.vault, two.administrator, number)


def ticket_of(two: Two) -> bytes:
    return two.site.vault.tickets.issue(two.second.identity, two.job_id, b"k" * 16)


def holds(two: Two, ticket: bytes) -> bool:
    try:
        return bool(two.site.vault.tickets.find(two.second.identity, ticket))
    except NotAllowed:
        return False


def test_leave_comes_with_an_order_for_another_computer_only(two: Two) -> None:
    two.give()
    two.give("laptop", two.message(two.laptop))
    assert not two.may(two.second)
    order_id = two.give("second")
    assert (two.may(two.second), two.grants()) == (True, [])
    two.take(two.second, order_id)
    assert two.may(two.second)
    two.end(two.second, order_id)
    assert not two.may(two.second)


def test_an_order_uses_no_grant(two: Two) -> None:
    grants.give(two.site.vault, two.administrator, GRANTING, 7)
    given = two.grants()
    order_id = two.give("second")
    grants.use(two.site.vault, two.second.identity, two.job_id)
    assert two.grants() == given
    two.end(two.second, order_id)
    grants.use(two.site.vault, two.second.identity, two.job_id)
    assert two.grants() != given


def test_what_an_order_opened_is_refused_after_its_end(two: Two) -> None:
    order_id = two.give("second")
    grants.use(two.site.vault, two.second.identity, two.job_id)
    two.end(two.second, order_id)
    with pytest.raises(NotAllowed, match="has no grant for job 'home'"):
        grants.use(two.site.vault, two.second.identity, two.job_id)


ENDS: dict[str, Callable[[Two, int, bytes], None]] = {
    "cancel": lambda two, number, _: cancel(two, number),
    **{
        state: lambda two, _, order_id, state=state: two.end(two.second, order_id, OrderState(state))  # type: ignore[misc]
        for state in ("done", "warnings", "failed", "refused")
    },
}


@pytest.mark.parametrize("is_later_first", [True, False])
@pytest.mark.parametrize("how", ENDS)
def test_leave_and_tickets_go_with_the_last_of_two_orders(two: Two, how: str, *, is_later_first: bool) -> None:
    first = two.give("second")
    two.take(two.second, first)
    two.site.clock.advance(60)
    ends = [(1, first), (2, two.give("second"))]
    ticket = ticket_of(two)
    for number, order_id in reversed(ends) if is_later_first else ends:
        assert (two.may(two.second), holds(two, ticket)) == (True, True)
        ENDS[how](two, number, order_id)
    assert (two.may(two.second), holds(two, ticket)) == (False, False)


def test_leave_and_tickets_go_with_orders_that_expire_at_once(two: Two) -> None:
    two.give("second")
    two.give("second")
    ticket = ticket_of(two)
    two.site.clock.advance(DAY_SECONDS - 1)
    assert holds(two, ticket)
    two.site.clock.advance(1)
    two.expire()
    assert (two.may(two.second), holds(two, ticket)) == (False, False)


def test_leave_lasts_as_long_as_the_restore(two: Two) -> None:
    order_id = two.give("second")
    two.take(two.second, order_id)
    ticket = ticket_of(two)
    for _ in range(59):
        two.site.clock.advance(DAY_SECONDS - 1)
        two.expire(order_id)
        assert (two.may(two.second), holds(two, ticket)) == (True, True)
    two.site.clock.advance(DAY_SECONDS + 59)
    two.expire(order_id)
    assert (two.may(two.second), holds(two, ticket)) == (False, False)


@pytest.mark.parametrize("how", [*ENDS, "expiry"])
def test_a_grant_beside_it_stays(two: Two, how: str) -> None:
    grants.give(two.site.vault, two.administrator, GRANTING, 7)
    order_id = two.give("second")
    ticket = ticket_of(two)
    if how == "expiry":
        two.site.clock.advance(DAY_SECONDS - 1)
        assert holds(two, ticket)
        two.site.clock.advance(1)
        two.expire()
    else:
        ENDS[how](two, 1, order_id)
    assert (two.may(two.second), holds(two, ticket), len(two.grants())) == (True, True, 1)


def test_a_grant_that_is_taken_back_beside_an_order(two: Two) -> None:
    grants.give(two.site.vault, two.administrator, GRANTING, 7)
    order_id = two.give("second")
    ticket = ticket_of(two)
    grants.revoke(two.site.vault, two.administrator, GRANTING)
    assert (two.may(two.second), holds(two, ticket)) == (True, True)
    two.end(two.second, order_id)
    assert (two.may(two.second), holds(two, ticket)) == (False, False)


def test_tickets_for_jobs_of_its_own_stay(two: Two) -> None:
    ticket = two.site.vault.tickets.issue(two.laptop.identity, two.job_id, b"k" * 16)
    two.end(two.laptop, two.give())
    assert two.site.vault.tickets.find(two.laptop.identity, ticket)


def test_an_agent_that_takes_the_place_has_no_leave(two: Two) -> None:
    two.give("second")
    request, spki = certificate_request()
    secret = computers.invite(two.site.vault, two.administrator, None, "second").secret
    wanted = RegistrationRequest(secret, "second", request, bytes(1216))
    computers.register(two.site.vault, computers.check_request(two.site.vault, wanted))
    assert restore_orders.show(two.site.vault, two.administrator, 1).summary.state == "cancelled"


def test_a_clock_that_is_set_back_gives_no_leave(two: Two) -> None:
    two.give("second")
    two.site.clock.advance(-7200)
    assert not two.may(two.second)
    two.site.clock.advance(7200)
    assert two.may(two.second)


@pytest.mark.parametrize("seed", range(6))
def test_leave_as_a_model_of_sets_has_it(two: Two, seed: int) -> None:
    """Orders (number: id) and a grant that come and go in any order."""
    random, orders, granted, ticket = Random(seed), {}, False, b""
    for step in range(60):
        match random.choice(["order", "order", "end", "end", "cancel", "grant", "revoke"]):
            case "order" if len(orders) < 4:
                order_id = two.give("second")
                orders[two.shown()[0].number] = order_id
            case "end" if orders:
                number = random.choice(list(orders))
                two.end(two.second, orders.pop(number))
            case "cancel" if orders:
                number = random.choice(list(orders))
                cancel(two, number)
                del orders[number]
            case "grant":
                grants.give(two.site.vault, two.administrator, GRANTING, 7)
                granted = True
            case "revoke" if granted:
                grants.revoke(two.site.vault, two.administrator, GRANTING)
                granted = False
        has_leave = bool(orders) or granted
        assert two.may(two.second) == has_leave, step
        if ticket:
            assert holds(two, ticket) == has_leave, step
        ticket = ticket_of(two) if has_leave else b""
