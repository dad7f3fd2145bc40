"""Restore orders: an administrator has the agent of a computer restore a job. Given, shown, cancelled.

What is to be done stands in a message that is sealed to the agent and signed by its creator: the vault can deliver it,
or not, within a day. It is removed from the catalog as soon as the order ends or is over. Where the job is another
computer's, an open order is leave to restore it (`leave.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_job
from vaultd.catalog.restore_orders import (
    find_order,
    list_orders_back,
    read_order,
    remove_message,
    remove_order,
    save_message,
    save_order,
    update_order,
)
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import leave, ledger
from vaultd.operations.access import job_with_keyring, named_computer, named_job
from vaultd.operations.auditing import audited
from vaultd.operations.sealed_headers import (
    ORDER_BYTES_MAX,
    SECRET_PURPOSE_RESTORE,
    agent_key_fingerprint,
    parse_secret,
)
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RESTORE_ORDER, job_owner, wrap
from vaultd.policy.order_life import ENDED_KEPT, OPEN_IN_ACCOUNT_MAX, OPEN_MAX, ORDER_LIFE_NS, is_order_over
from vaultd.records import Change, Computer, Identity, Job, OrderState, RestoreFigures, RestoreOrder

NO_FIGURES = RestoreFigures()
SHOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class NewOrder:
    """`to` None: on the computer of the job itself."""

    computer: str
    job: str
    to: str | None
    message: bytes = field(repr=False)


class OrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What did not happen yet is 0; `exit_code` is -1 where there is none."""

    number: int
    computer: str
    job: str
    to: str
    state: OrderState
    created_ns: int
    expires_ns: int
    begin_ns: int
    end_ns: int
    exit_code: int
    code: str
    files: int
    bytes: int
    left: int
    warnings: int


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """With the ids that the server tells the agent by."""

    summary: OrderSummary
    order_id: bytes
    computer_id: bytes


def give(vault: Vault, identity: Identity, new: NewOrder) -> ShownOrder:
    """W. The same message again is answered the same way."""
    now_ns, account_id = vault.clock.now_ns(), identity.account_id
    with vault.catalog.read() as view:
        job, target = _parties(view, identity, new)
        message_id = _checked_id(new.message, job, target)
        if same := find_order(view, account_id, message_id):
            return _shown(view, account_id, same, now_ns)
        known = list(list_orders_back(view, account_id))
        of_target = [one for one in known if one.computer_id == target.computer_id]
        _check_room(known, of_target, target)
        order = RestoreOrder(
            number=known[0].number + 1 if known else 1,
            order_id=message_id,
            job_id=job.job_id,
            computer_id=target.computer_id,
            created_ns=now_ns,
            expires_ns=now_ns + ORDER_LIFE_NS,
        )
        wrapped = wrap(vault, job_owner(job.job_id), RESTORE_ORDER, message_id, new.message)
        subject = f"{new.computer}/{new.job} on {target.name}"
        changes = [*save_order(account_id, order), *save_message(account_id, message_id, wrapped)]
        changes += [change for one in _outlived(of_target) for change in remove_order(account_id, one)]
        changes += audited(vault, view, identity, "restore.order", subject)
        shown = _shown(view, account_id, order, now_ns)
    ledger.record(vault, changes)
    return shown


def list_all(vault: Vault, identity: Identity) -> list[OrderSummary]:
    """Newest first."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        newest = zip(range(SHOWN_MAX), list_orders_back(view, identity.account_id), strict=False)
        return [_shown(view, identity.account_id, order, now_ns).summary for _, order in newest]


def show(vault: Vault, identity: Identity, number: int) -> ShownOrder:
    with vault.catalog.read() as view:
        order = _numbered(view, identity, number)
        return _shown(view, identity.account_id, order, vault.clock.now_ns())


def cancel(vault: Vault, identity: Identity, number: int) -> ShownOrder:
    """W. From then on the agent gets it no more; one that carries it out already stops when it hears of it."""
    now_ns, account_id = vault.clock.now_ns(), identity.account_id
    with vault.catalog.read() as view:
        order = _numbered(view, identity, number)
        if order.state is OrderState.CANCELLED:
            return _shown(view, account_id, order, now_ns)
        if not order.state.is_open:
            raise Conflict(f"restore {number} has ended as {order.state.value}", "there is nothing left to cancel")
        changes = over(account_id, order, OrderState.CANCELLED, now_ns)
        changes += audited(vault, view, identity, "restore.cancel", str(number))
    ledger.record(vault, changes)
    leave.take_back_tickets(vault, account_id, order.job_id, order.computer_id)
    return show(vault, identity, number)


def over(
    account_id: bytes, order: RestoreOrder, state: OrderState, now_ns: int, figures: RestoreFigures = NO_FIGURES
) -> list[Change]:
    """Ended; its message is there no more."""
    ended = msgspec.structs.replace(order, state=state, end_ns=now_ns, figures=figures)
    return [*update_order(account_id, ended), *remove_message(account_id, order.order_id)]


def cancelled_with(view: View, computer: Computer, now_ns: int) -> list[Change]:
    """The open orders of a computer that was removed, or whose agent another one takes the place of: nobody else can
    open them.
    """
    account_id, changes = computer.account_id, []
    for order in list_orders_back(view, account_id):
        if order.computer_id == computer.computer_id and order.state.is_open:
            changes += over(account_id, order, OrderState.CANCELLED, now_ns)
    return changes


def _parties(view: View, identity: Identity, new: NewOrder) -> tuple[Job, Computer]:
    """The job, and the computer that is to restore it."""
    owner = named_computer(view, identity, new.computer)
    job = job_with_keyring(named_job(view, owner, new.job))
    target = owner if new.to is None else named_computer(view, identity, new.to)
    if target.removed_ns:
        raise Conflict(f"computer {target.name!r} was removed", "name another computer with --to")
    return job, target


def _checked_id(message: bytes, job: Job, target: Computer) -> bytes:
    """A message for another agent would be useless here and must not be kept."""
    header = parse_secret(message, ORDER_BYTES_MAX)
    if header.purpose != SECRET_PURPOSE_RESTORE:
        raise BadRequest(f"message: purpose {header.purpose} is not that of a restore order ({SECRET_PURPOSE_RESTORE})")
    bound = {
        "account": (header.account_id, target.account_id),
        "computer": (header.computer_id, target.computer_id),
        "job": (header.job_id, job.job_id),
        "agent_key": (header.agent_key, agent_key_fingerprint(target.tls_key, target.sealing_key)),
    }
    for name, (said, expected) in bound.items():
        if said != expected:
            raise BadRequest(f"message: {name} {said.hex()} is not the one of this job and computer")
    return header.message_id


def _check_room(known: Iterable[RestoreOrder], of_target: Iterable[RestoreOrder], target: Computer) -> None:
    hint = "wait for their end, or cancel one: `vaultctl safeset restores` shows them"
    if sum(order.state.is_open for order in of_target) >= OPEN_MAX:
        raise Conflict(f"{OPEN_MAX} restores of computer {target.name!r} are open already", hint)
    if sum(order.state.is_open for order in known) >= OPEN_IN_ACCOUNT_MAX:
        raise Conflict(f"{OPEN_IN_ACCOUNT_MAX} restores of the account are open already", hint)


def _outlived(of_target: Iterable[RestoreOrder]) -> list[RestoreOrder]:
    return [order for order in of_target if not order.state.is_open][ENDED_KEPT - 1 :]


def _numbered(view: View, identity: Identity, number: int) -> RestoreOrder:
    order = read_order(view, identity.account_id, number)
    if order is None:
        raise NotFound(f"restore {number} does not exist", "`vaultctl safeset restores` shows them")
    return order


def _shown(view: View, account_id: bytes, order: RestoreOrder, now_ns: int) -> ShownOrder:
    job = read_job(view, account_id, order.job_id)
    figures = order.figures
    is_over = order.state is OrderState.WAITING and is_order_over(order.expires_ns, now_ns)
    summary = OrderSummary(
        number=order.number,
        computer=_name(view, account_id, b"" if job is None else job.computer_id),
        job=order.job_id.hex() if job is None else job.name,
        to=_name(view, account_id, order.computer_id),
        state=OrderState.EXPIRED if is_over else order.state,
        created_ns=order.created_ns,
        expires_ns=order.expires_ns,
        begin_ns=order.begin_ns,
        end_ns=order.end_ns,
        exit_code=figures.exit_code,
        code=figures.code,
        files=figures.files,
        bytes=figures.bytes,
        left=figures.left,
        warnings=figures.warnings,
    )
    return ShownOrder(summary, order.order_id, order.computer_id)


def _name(view: View, account_id: bytes, computer_id: bytes) -> str:
    computer = read_computer(view, account_id, computer_id)
    return computer_id.hex() if computer is None else computer.name
