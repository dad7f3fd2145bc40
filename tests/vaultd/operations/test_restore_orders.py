"""Restore orders: for one agent, once, for a day; the message goes with their end."""

import os
from pathlib import Path

import msgspec
import pytest

from tests.vaultd.operations.ordering import DAY_SECONDS, Two
from tests.vaultd.operations.small_site import Site, certificate_request
from tests.vaultd.operations.test_lost_catalog import lose_catalog
from vaultd.clock import FixedClock
from vaultd.errors import Conflict, Damaged, NotFound, NotSignedIn
from vaultd.operations import computers, ledger, ordered_restores, removal, restore_orders
from vaultd.operations.computers import RegistrationRequest
from vaultd.operations.vault import open_vault, write_checkpoint
from vaultd.records import OrderState, RestoreOrder
from vaultd.store.disk_door import SystemDoor


@pytest.fixture
def two(site: Site) -> Two:
    return Two(site)


def test_an_order_is_taken_and_ends(two: Two) -> None:
    message = two.message(two.laptop)
    order_id = two.give(message=message)
    assert order_id == message[56:72]
    assert two.asked(two.laptop) == [order_id]
    (waiting,) = two.shown()
    assert (waiting.number, waiting.computer, waiting.job, waiting.to) == (1, "laptop", "home", "laptop")
    assert (waiting.state, waiting.begin_ns, waiting.exit_code) == ("waiting", 0, -1)
    assert ordered_restores.take(two.site.vault, two.laptop.identity, order_id).job_id == two.job_id
    assert two.take(two.laptop, order_id) == message
    assert two.asked(two.laptop) == [order_id]  # its agent may have died
    assert two.shown()[0].state == "running"
    two.end(two.laptop, order_id)
    (ended,) = two.shown()
    assert (ended.state, ended.exit_code, ended.files, ended.bytes, ended.left) == ("done", 0, 3, 4000, 1)
    assert two.asked(two.laptop) == []
    assert two.audit() == [
        ("administrator administrator", "restore.order", "laptop/home on laptop"),
        ("agent laptop", "restore.end", "1: done"),
    ]


def test_an_order_is_durable_before_it_is_answered(two: Two) -> None:
    order_id = two.give()
    two.site.crash()
    assert two.asked(two.laptop) == [order_id]
    two.take(two.laptop, order_id)
    two.site.crash()
    assert two.shown()[0].state == "running"
    two.end(two.laptop, order_id)
    two.site.crash()
    assert two.shown()[0].state == "done"


def test_orders_come_back_without_a_catalog(two: Two) -> None:
    first = two.give()
    two.end(two.laptop, first)
    write_checkpoint(two.site.vault)
    second = two.give("second")
    rows, messages = two.rows(), two.messages()
    lose_catalog(two.site)
    two.site.vault = open_vault(two.site.config, two.site.clock, SystemDoor())
    assert (two.rows(), two.messages()) == (rows, messages)
    assert two.asked(two.second) == [second]


def test_only_its_computer_gets_it(two: Two) -> None:
    order_id = two.give("second")
    assert (two.asked(two.laptop), two.asked(two.second)) == ([], [order_id])
    other = two.site.agent(two.site.administrator("other"), "second")
    for agent in (two.laptop, other):
        for ask in (two.take, two.end):
            with pytest.raises(NotFound, match=f"restore order {order_id.hex()} does not exist"):
                ask(agent, order_id)
        with pytest.raises(NotFound):
            ordered_restores.require_running(two.site.vault, agent.identity, order_id)
    assert two.shown()[0].state == "waiting"
    assert two.take(two.second, order_id)


def test_other_accounts_see_no_order(two: Two) -> None:
    two.give()
    other = two.site.administrator("other")
    assert restore_orders.list_all(two.site.vault, other) == []
    for ask in (restore_orders.show, restore_orders.cancel):
        with pytest.raises(NotFound, match="restore 1 does not exist"):
            ask(two.site.vault, other, 1)


def test_the_same_message_again_is_the_same_order(two: Two) -> None:
    message = two.message(two.laptop)
    assert two.give(message=message) == two.give(message=message)
    assert len(two.shown()) == 1
    two.end(two.laptop, message[56:72])
    assert two.give(message=message) == message[56:72]
    assert two.asked(two.laptop) == []


@pytest.mark.parametrize("state", [OrderState.DONE, OrderState.WARNINGS, OrderState.FAILED, OrderState.REFUSED])
def test_the_message_goes_with_the_end(two: Two, state: OrderState) -> None:
    order_id = two.give()
    two.take(two.laptop, order_id)
    assert list(two.messages()) == [order_id]
    two.end(two.laptop, order_id, state)
    assert two.messages() == {}
    with pytest.raises(NotFound):
        two.take(two.laptop, order_id)
    two.end(two.laptop, order_id, OrderState.FAILED)  # nothing changes
    assert two.rows()[0].state is state


def test_the_message_at_rest_is_wrapped(two: Two) -> None:
    message = two.message(two.laptop)
    order_id = two.give(message=message)
    assert message[96:-96] not in two.messages()[order_id]
    for file in Path(two.site.config.directory).rglob("*"):
        if file.is_file():
            assert message[96:128] not in file.read_bytes(), file


@pytest.mark.parametrize("has_begun", [False, True])
def test_cancelled(two: Two, *, has_begun: bool) -> None:
    order_id = two.give("second")
    if has_begun:
        two.take(two.second, order_id)
    cancelled = restore_orders.cancel(two.site.vault, two.administrator, 1)
    assert (cancelled.summary.state, bool(cancelled.summary.begin_ns)) == ("cancelled", has_begun)
    assert (cancelled.order_id, cancelled.computer_id) == (order_id, two.second.identity.identity_id)
    assert (two.messages(), two.may(two.second), two.asked(two.second)) == ({}, False, [])
    assert restore_orders.cancel(two.site.vault, two.administrator, 1).summary == cancelled.summary
    two.end(two.second, order_id)
    assert two.shown()[0].state == "cancelled"


def test_what_has_ended_is_not_cancelled(two: Two) -> None:
    two.end(two.laptop, two.give())
    with pytest.raises(Conflict, match="restore 1 has ended as done"):
        restore_orders.cancel(two.site.vault, two.administrator, 1)


def test_an_order_is_over_after_a_day(two: Two) -> None:
    clock: FixedClock = two.site.clock
    order_id = two.give("second")
    clock.advance(DAY_SECONDS - 1)
    two.expire()
    assert two.asked(two.second) == [order_id]
    clock.advance(1)
    assert two.asked(two.second) == []
    with pytest.raises(NotFound):
        two.take(two.second, order_id)
    assert two.shown()[0].state == "expired"
    two.expire()
    assert (two.rows()[0].state, two.messages(), two.may(two.second)) == (OrderState.EXPIRED, {}, False)
    assert not ordered_restores.has_outlived(two.site.vault)


def test_one_that_goes_on_comes_to_its_end_after_a_day(two: Two) -> None:
    order_id = two.give()
    two.take(two.laptop, order_id)
    two.site.clock.advance(DAY_SECONDS)
    two.expire(order_id)
    assert (two.rows()[0].state, two.messages()) == (OrderState.RUNNING, {})
    ordered_restores.require_running(two.site.vault, two.laptop.identity, order_id)
    two.end(two.laptop, order_id)
    assert two.shown()[0].state == "done"


def test_one_that_nobody_hears_of_is_over_after_a_day(two: Two) -> None:
    two.take(two.laptop, two.give())
    two.site.clock.advance(DAY_SECONDS)
    two.expire()
    assert (two.rows()[0].state, two.shown()[0].exit_code) == (OrderState.EXPIRED, -1)


def test_a_clock_that_is_set_back_neither_gives_nor_ends(two: Two) -> None:
    order_id = two.give()
    two.site.clock.advance(-7200)
    two.expire()
    assert (two.asked(two.laptop), two.rows()[0].state) == ([], OrderState.WAITING)
    two.site.clock.advance(7200)
    assert two.asked(two.laptop) == [order_id]


def test_one_that_is_told_of_for_ever_is_over_after_sixty_days(two: Two) -> None:
    order_id = two.give()
    two.take(two.laptop, order_id)
    two.site.clock.advance(60 * DAY_SECONDS - 1)
    two.expire(order_id)
    assert two.rows()[0].state is OrderState.RUNNING
    position = two.site.vault.catalog.position()
    two.expire(order_id)
    assert two.site.vault.catalog.position() == position, "an entry that changes nothing is none"
    two.site.clock.advance(1)
    two.expire(order_id)
    assert two.rows()[0].state is OrderState.EXPIRED


def test_open_orders_of_one_computer_are_bounded(two: Two) -> None:
    for _ in range(16):
        two.give()
    with pytest.raises(Conflict, match="16 restores of computer 'laptop' are open already") as error:
        two.give()
    assert "vaultctl safeset restores" in error.value.hint
    two.give("second")
    restore_orders.cancel(two.site.vault, two.administrator, 1)
    assert two.give()


def test_open_orders_of_one_account_are_bounded(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_orders, "OPEN_IN_ACCOUNT_MAX", 3)
    for to in (None, None, "second"):
        two.give(to)
    for to in (None, "second"):
        with pytest.raises(Conflict, match="3 restores of the account are open already"):
            two.give(to)
    restore_orders.cancel(two.site.vault, two.administrator, 2)
    assert two.give("second")


def test_the_newest_that_ended_are_kept(two: Two) -> None:
    two.give("second")
    for _ in range(30):
        two.end(two.laptop, two.give())
    assert [one.number for one in two.shown()] == [*range(31, 11, -1), 1]


def test_a_removed_computer_gets_no_order_and_its_open_ones_end(two: Two) -> None:
    for _ in range(2):
        two.give("second")
        two.site.clock.advance(60)
    removal.remove_computer(two.site.vault, two.administrator, "second")
    assert [row.state for row in two.rows()] == [OrderState.CANCELLED] * 2
    assert two.messages() == {}
    with pytest.raises(Conflict, match="computer 'second' was removed"):
        two.give("second")
    with pytest.raises(NotSignedIn):
        two.asked(two.second)


def test_what_a_removed_computer_stored_is_restored_elsewhere(two: Two) -> None:
    removal.remove_computer(two.site.vault, two.administrator, "laptop")
    assert two.asked(two.second) == []
    assert two.take(two.second, two.give("second"))
    with pytest.raises(Conflict, match="was removed"):
        two.give()


def test_a_removed_job_is_restored_all_the_same(two: Two) -> None:
    removal.remove_job(two.site.vault, two.administrator, "laptop", "home")
    assert two.take(two.laptop, two.give())


def test_the_orders_of_a_replaced_agent_end(two: Two) -> None:
    two.give()
    request, _ = certificate_request()
    secret = computers.invite(two.site.vault, two.administrator, None, "laptop").secret
    wanted = RegistrationRequest(secret, "laptop", request, os.urandom(1216))
    computers.register(two.site.vault, computers.check_request(two.site.vault, wanted))
    assert (two.shown()[0].state, two.messages()) == ("cancelled", {})


def test_an_order_ends_with_one_entry(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[set[str]] = []
    record = ledger.record
    monkeypatch.setattr(
        ledger, "record", lambda vault, changes, *more, **details: (
            recorded.append({table for table, _, _ in changes}), record(vault, changes, *more, **details)
        )
    )  # fmt: skip
    order_id = two.give("second")
    two.take(two.second, order_id)
    two.take(two.second, order_id)
    two.end(two.second, order_id)
    given = {"restore_orders", "order_numbers", "order_messages", "audit"}
    assert recorded == [given, {"restore_orders"}, given - {"order_numbers"}]


def test_how_far_it_is_reads_no_message(two: Two) -> None:
    order_id = two.give()
    two.take(two.laptop, order_id)
    for table, key, _ in _rows_of(two, "order_messages"):
        ledger.record(two.site.vault, [(table, key, b"damaged")])
    ordered_restores.require_running(two.site.vault, two.laptop.identity, order_id)
    assert two.asked(two.laptop) == [order_id]
    with pytest.raises(Damaged):
        two.take(two.laptop, order_id)


def test_how_far_it_is_reads_no_other_order(two: Two) -> None:
    order_id, other = two.give(), two.give()
    two.take(two.laptop, order_id)
    _damage_order(two, 2)
    ordered_restores.require_running(two.site.vault, two.laptop.identity, order_id)
    with pytest.raises(Damaged):
        ordered_restores.require_running(two.site.vault, two.laptop.identity, other)


def test_a_row_that_cannot_be_read_keeps_no_other_order_from_its_end(two: Two) -> None:
    two.give()
    two.give("second")
    _damage_order(two, 1)
    two.site.clock.advance(DAY_SECONDS)
    two.expire()
    assert len(two.messages()) == 1
    assert restore_orders.show(two.site.vault, two.administrator, 2).summary.state == "expired"


def _damage_order(two: Two, number: int) -> None:
    table, key, _ = _rows_of(two, "restore_orders")[number - 1]
    ledger.record(two.site.vault, [(table, key, b"damaged")])


def _rows_of(two: Two, table: str) -> list[tuple[str, bytes, bytes]]:
    with two.site.vault.catalog.read() as view:
        return [(table, key, value) for key, value in view.scan(table)]


def test_an_older_row_is_read(two: Two) -> None:
    row = RestoreOrder(1, bytes(16), bytes(16), bytes(16), 5, 6)
    assert msgspec.to_builtins(row)[6:] == ["waiting", 0, 0, [0, 0, 0, 0, -1, ""]]
