"""A restore that an administrator ordered through the vault, which knows no more of it than whose it is.

Nothing is restored before it is certain that this agent's creator signed the order for this computer and job, that it
is still good, and that it was not carried out before. What happens then is what `vault-agent restore` does. The vault
is told counts and codes only: names of files stay in this computer's log.
"""

import time

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import RestoreEndAnswer, RestoreEndRequest, RestoreTakeAnswer, RestoreTakeRequest
from tools.agent.commands.restore import carry_out_restore
from tools.agent.keys.job_trust import job_address
from tools.agent.local.orders import RestoreOrder
from tools.agent.restore.restore_watch import OrderWatch
from tools.agent.safeset.entries import wanted_paths
from tools.agent.service.taken_orders import Damaged, OrderEnd, TakenOrders
from tools.agent.state import Identity, StateDirectory
from tools.agent.vault.connection import ask_vault
from tools.agent.vault.lost_connection import is_lost
from tools.client import restore_order
from tools.client.agent_key import AgentKey
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, INTERRUPTED, Failure, describe
from tools.client.fingerprint import parse_fingerprint
from tools.client.job_secret import OpenedOrder, open_restore_order
from tools.client.output import Output
from tools.client.program import tell_error
from tools.client.record_format import IntegrityError
from tools.client.restore_order import CLOCK_BEHIND_NS
from tools.client.session import VaultSession

# A vault that began anew knows no ticket any more: then the password opens the safeset again, if that is still allowed.
TRIES = 5


class Refused(Failure):
    """`reason` is what the vault is told."""

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__("not_allowed", message, hint)
        self.reason = reason


def carry_out_asked(output: Output, state: StateDirectory, order_id: bytes) -> int:
    """Exit 0 once the vault knows how it ended, however that was; 130 or 8 where it is not over yet."""
    identity = state.load_identity()
    taken = _take(state, identity, order_id)
    if taken is None:
        output.note("the restore was cancelled, or is over")
        return EXIT_OK
    try:
        opened = _opened(state, identity, order_id, taken)
        orders = TakenOrders(state.path / "orders")
        end = _begin(orders, opened, taken)
        if end is None:
            end = _carry_out(output, state, opened, taken)
            orders.end(opened.message_id, end)
        else:
            output.note("this restore was carried out before: nothing is done again")
    except Refused as refused:
        end = _refusal(output, refused)
    _tell_end(state, identity, order_id, end)
    return EXIT_OK


def _carry_out(output: Output, state: StateDirectory, opened: OpenedOrder, taken: RestoreTakeAnswer) -> OrderEnd:
    """A refusal is an end like others: whoever was told of it may order anew, and this one is not carried out beside
    that when the clock is right again.
    """
    try:
        check_time(opened.order, time.time_ns())
    except Refused as refused:
        return _refusal(output, refused)
    return _restore(output, state, opened, taken)


def _refusal(output: Output, refused: Refused) -> OrderEnd:
    tell_error(output, refused)
    return OrderEnd("refused", refused.exit_code, refused.reason)


def check_time(order: restore_order.RestoreOrder, now_ns: int) -> None:
    """By this computer's clock: the vault's word is not taken for it."""
    if now_ns >= order.expires_ns:
        raise Refused("expired", "the order to restore is not good any more", "order the restore anew")
    if now_ns < order.created_ns - CLOCK_BEHIND_NS:
        raise Refused(
            "early",
            "the order to restore was given later than this computer's clock says that it is now",
            "set the clock of this computer, or of the one where the order was given, and order the restore anew",
        )


def _take(state: StateDirectory, identity: Identity, order_id: bytes) -> RestoreTakeAnswer | None:
    """None where there is nothing to do any more."""

    async def talk(session: VaultSession) -> RestoreTakeAnswer:
        answer, _ = await session.ask("restore.take", RestoreTakeRequest(order_id), RestoreTakeAnswer)
        return answer

    try:
        return ask_vault(state, identity, talk)
    except RemoteProtocolError as error:
        if error.code is not ErrorCode.not_found:
            raise
        return None


def _opened(state: StateDirectory, identity: Identity, order_id: bytes, taken: RestoreTakeAnswer) -> OpenedOrder:
    agent_key = AgentKey(state.key_path.read_bytes(), state.load_sealing_private())
    address, creator = job_address(identity, taken.job_id), parse_fingerprint(identity.creator)
    try:
        opened = open_restore_order(taken.message, address, agent_key, creator)
        if opened.message_id != order_id:
            raise IntegrityError("the vault gave another one than it said")
        return opened
    except IntegrityError as error:
        raise Refused(
            "forged",
            f"the order to restore is none for this computer: {error}",
            "nothing was restored: give the order with the context that invited this computer; if you did, ask the"
            " vault's operator",
        ) from None


def _begin(orders: TakenOrders, opened: OpenedOrder, taken: RestoreTakeAnswer) -> OrderEnd | None:
    try:
        return orders.begin(opened.message_id, taken.message)
    except ValueError as error:
        hint = "nothing was restored: order the restore anew"
        raise Refused("repeated", f"the order to restore repeats an earlier one: {error}", hint) from None
    except Damaged as error:
        raise Refused("unsure", error.message, error.hint) from None


def _restore(output: Output, state: StateDirectory, opened: OpenedOrder, taken: RestoreTakeAnswer) -> OrderEnd:
    """Raises what says that it is not over: an interruption, or a vault that is out of reach."""
    work = _work(opened.order, taken.job_id, output)
    for tries_left in range(TRIES - 1, -1, -1):
        watch = OrderWatch(opened.message_id, output.note)
        try:
            exit_code = carry_out_restore(output, state, work, watch)
            return _end("warnings" if exit_code == EXIT_WARNINGS else "done", exit_code, "", watch)
        except Exception as error:
            failure = describe(error)
            if failure.code == INTERRUPTED or is_lost(error):
                raise
            tell_error(output, error)
            if not (tries_left and watch.is_open and failure.code == ErrorCode.not_allowed):
                return _end("failed", failure.exit_code, failure.code, watch)
    raise AssertionError("the last try ends it")


def _work(order: restore_order.RestoreOrder, job_id: bytes, output: Output) -> RestoreOrder:
    return RestoreOrder(
        job=order.job, computer=order.computer, sequence=order.sequence, paths=list(wanted_paths(order.paths)),
        target=order.target, overwrite=order.overwrite, is_privileged=False, is_room_checked=True,
        password=order.password, recovery_code=None, json=output.json, job_id=job_id,
    )  # fmt: skip


def _end(outcome: str, exit_code: int, code: str, watch: OrderWatch) -> OrderEnd:
    """With what was restored before an error, as far as it is known."""
    restored = watch.restored
    if restored is None:
        return OrderEnd(outcome, exit_code, code, watch.figures.files, watch.figures.bytes)
    warnings = restored.missed.count
    return OrderEnd(outcome, exit_code, code, restored.files, restored.bytes, restored.left, warnings)


def _tell_end(state: StateDirectory, identity: Identity, order_id: bytes, end: OrderEnd) -> None:
    """One that was cancelled meanwhile stays that."""
    told = RestoreEndRequest(
        order_id, end.outcome, end.exit_code, end.code, end.files, end.bytes, end.left, end.warnings  # type: ignore[arg-type]
    )  # fmt: skip

    async def talk(session: VaultSession) -> None:
        await session.ask("restore.end", told, RestoreEndAnswer)

    ask_vault(state, identity, talk)
