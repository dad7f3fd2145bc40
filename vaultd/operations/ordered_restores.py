"""Restore orders as the agent that carries them out knows them: which there are, taken, ended; and what comes of those
that nobody ended in time.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.restore_orders import (
    find_order,
    has_message,
    list_orders_back,
    read_message,
    readable_orders,
    remove_message,
    update_order,
)
from vaultd.errors import NotFound
from vaultd.operations import leave, ledger
from vaultd.operations.access import own_computer
from vaultd.operations.auditing import audited
from vaultd.operations.restore_orders import over
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RESTORE_ORDER, job_owner, unwrap
from vaultd.policy.order_life import is_heard_too_long, is_order_good, is_order_over
from vaultd.records import Change, Identity, OrderState, RestoreFigures, RestoreOrder


@dataclass(frozen=True, slots=True)
class TakenOrder:
    """What the agent opens."""

    job_id: bytes
    message: bytes = field(repr=False)


def asked_orders(vault: Vault, identity: Identity) -> list[bytes]:
    """Ids of what the agent's own computer is to restore, in the order in which it was asked for; also what it began
    already: its end may be unknown here because it was cut.
    """
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        computer_id = own_computer(view, identity).computer_id
        orders = [one for one in list_orders_back(view, identity.account_id) if one.computer_id == computer_id]
        return [order.order_id for order in reversed(orders) if _can_be_taken(order, now_ns)]


def take(vault: Vault, identity: Identity, order_id: bytes) -> TakenOrder:
    """W. From then on it is carried out."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        order = _own_order(view, identity, order_id)
        if not _can_be_taken(order, now_ns):
            raise _unknown(order_id)
        wrapped = read_message(view, identity.account_id, order_id)
    message = unwrap(vault, [job_owner(order.job_id)], RESTORE_ORDER, order_id, wrapped or b"")
    if order.state is OrderState.WAITING:
        begun = msgspec.structs.replace(order, state=OrderState.RUNNING, begin_ns=now_ns)
        ledger.record(vault, update_order(identity.account_id, begun))
    return TakenOrder(order.job_id, message)


def require_running(vault: Vault, identity: Identity, order_id: bytes) -> None:
    with vault.catalog.read() as view:
        if _own_order(view, identity, order_id).state is not OrderState.RUNNING:
            raise _unknown(order_id)


def end(vault: Vault, identity: Identity, order_id: bytes, state: OrderState, figures: RestoreFigures) -> None:
    """W. One that has ended already stays as it is."""
    with vault.catalog.read() as view:
        order = _own_order(view, identity, order_id)
        if not order.state.is_open:
            return
        changes = over(identity.account_id, order, state, vault.clock.now_ns(), figures)
        changes += audited(vault, view, identity, "restore.end", f"{order.number}: {state.value}")
    ledger.record(vault, changes)
    leave.take_back_tickets(vault, identity.account_id, order.job_id, order.computer_id)


def has_outlived(vault: Vault) -> bool:
    """Whether `expire` may find something to do."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        return any(_is_over(order, now_ns) for _, order in readable_orders(view))


def expire(vault: Vault, heard: Collection[bytes]) -> None:
    """W. Messages of orders that are over go, in one entry. One that is carried out still, as those in `heard`, comes
    to its end.
    """
    now_ns = vault.clock.now_ns()
    changes: list[Change] = []
    ended: set[tuple[bytes, bytes, bytes]] = set()
    with vault.catalog.read() as view:
        for account_id, order in readable_orders(view):
            if not _is_over(order, now_ns):
                continue
            if _is_heard(order, heard, now_ns):
                if has_message(view, account_id, order.order_id):
                    changes += remove_message(account_id, order.order_id)
                continue
            changes += over(account_id, order, OrderState.EXPIRED, now_ns)
            ended.add((account_id, order.job_id, order.computer_id))
    if changes:
        ledger.record(vault, changes)
    for parties in ended:
        leave.take_back_tickets(vault, *parties)


def _is_heard(order: RestoreOrder, heard: Collection[bytes], now_ns: int) -> bool:
    is_told = order.state is OrderState.RUNNING and order.order_id in heard
    return is_told and not is_heard_too_long(order.created_ns, now_ns)


def _is_over(order: RestoreOrder, now_ns: int) -> bool:
    return order.state.is_open and is_order_over(order.expires_ns, now_ns)


def _can_be_taken(order: RestoreOrder, now_ns: int) -> bool:
    return order.state.is_open and is_order_good(order.created_ns, order.expires_ns, now_ns)


def _own_order(view: View, identity: Identity, order_id: bytes) -> RestoreOrder:
    """One that the agent's own computer is to carry out."""
    computer_id = own_computer(view, identity).computer_id
    order = find_order(view, identity.account_id, order_id)
    if order is None or order.computer_id != computer_id:
        raise _unknown(order_id)
    return order


def _unknown(order_id: bytes) -> NotFound:
    """The same for what is another's, was cancelled or is over."""
    return NotFound(f"restore order {order_id.hex()} does not exist, or not any more")
