"""Restore orders, for administrators and for the agent that carries them out."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import ordered_restores, restore_orders
from vaultd.operations.restore_orders import NewOrder, OrderSummary
from vaultd.records import OrderState, RestoreFigures
from vaultd.server import answers
from vaultd.server.request import Request
from vaultd.server.run_progress import Told


async def give(request: Request) -> m.RestoreOrderAnswer:
    message: m.RestoreOrderRequest = request.message
    new = NewOrder(message.computer, message.job, message.to, message.message)
    given = await offload.write(restore_orders.give, request.vault, request.identity, new)
    work = request.service.work
    work.ask_restore(given.computer_id, given.order_id)
    return m.RestoreOrderAnswer(_answer(given.summary), work.is_waited(given.computer_id))


async def list_all(request: Request) -> m.RestoreOrdersAnswer:
    found = await offload.read(restore_orders.list_all, request.vault, request.identity)
    return m.RestoreOrdersAnswer([_answer(one) for one in found])


async def show(request: Request) -> m.RestoreStateAnswer:
    asked: m.RestoreStateRequest = request.message
    found = await offload.read(restore_orders.show, request.vault, request.identity, asked.number)
    is_running = found.summary.state is OrderState.RUNNING
    progress = request.service.restores.find(found.order_id, found.order_id) if is_running else None
    return m.RestoreStateAnswer(
        _answer(found.summary), request.service.work.is_waited(found.computer_id), progress
    )  # fmt: skip


async def cancel(request: Request) -> m.RestoreCancelAnswer:
    asked: m.RestoreCancelRequest = request.message
    cancelled = await offload.write(restore_orders.cancel, request.vault, request.identity, asked.number)
    request.service.restores.forget_job(cancelled.order_id)
    request.service.work.cancel_restore(cancelled.computer_id, cancelled.order_id)
    return m.RestoreCancelAnswer(_answer(cancelled.summary))


async def take(request: Request) -> m.RestoreTakeAnswer:
    asked: m.RestoreTakeRequest = request.message
    taken = await offload.write(ordered_restores.take, request.vault, request.identity, asked.order_id)
    return answers.answer(taken, m.RestoreTakeAnswer)


async def tell_progress(request: Request) -> m.RestoreProgressAnswer:
    """Kept for whoever waits; the catalog hears nothing of it."""
    message: m.RestoreProgressRequest = request.message
    await offload.read(ordered_restores.require_running, request.vault, request.identity, message.order_id)
    now_ns = request.vault.clock.now_ns()
    progress = m.RunProgress(message.files, message.bytes, message.bytes_total, now_ns)
    request.service.restores.tell(message.order_id, Told(message.order_id, request.session, progress))
    return m.RestoreProgressAnswer()


async def end(request: Request) -> m.RestoreEndAnswer:
    message: m.RestoreEndRequest = request.message
    figures = RestoreFigures(
        message.files, message.bytes, message.left, message.warnings, message.exit_code, message.code
    )  # fmt: skip
    state = OrderState(message.outcome)
    await offload.write(ordered_restores.end, request.vault, request.identity, message.order_id, state, figures)
    request.service.restores.forget_job(message.order_id)
    return m.RestoreEndAnswer()


def _answer(summary: OrderSummary) -> m.RestoreOrderSummary:
    return answers.answer(
        summary,
        m.RestoreOrderSummary,
        begin_ns=summary.begin_ns or None,
        end_ns=summary.end_ns or None,
        exit_code=None if summary.exit_code < 0 else summary.exit_code,
    )
