"""Retention of the caller's account."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import freezes, held_safesets, retention, retention_limit, retention_types
from vaultd.operations.held_safesets import Named
from vaultd.operations.retention_limit import LimitSummary
from vaultd.operations.retention_types import RetentionSummary
from vaultd.policy.retention import OverLimit
from vaultd.server import answers
from vaultd.server.request import Request


async def set_type(request: Request) -> m.RetentionSetAnswer:
    message: m.RetentionSetRequest = request.message
    found = await offload.write(
        retention_types.set_type, request.vault, request.identity, message.name, message.days, message.copies
    )
    return m.RetentionSetAnswer(_type(found))


async def confirm(request: Request) -> m.RetentionConfirmAnswer:
    message: m.RetentionConfirmRequest = request.message
    found = await offload.write(retention_types.confirm_type, request.vault, request.identity, message.name)
    return m.RetentionConfirmAnswer(_type(found))


async def limit(request: Request) -> m.RetentionLimitAnswer:
    message: m.RetentionLimitRequest = request.message
    chosen = OverLimit(message.over_limit)
    found = await offload.write(retention_limit.set_limit, request.vault, request.identity, chosen)
    return m.RetentionLimitAnswer(_limit(found))


async def confirm_limit(request: Request) -> m.RetentionConfirmLimitAnswer:
    found = await offload.write(retention_limit.confirm_limit, request.vault, request.identity)
    return m.RetentionConfirmLimitAnswer(_limit(found))


async def list_all(request: Request) -> m.RetentionListAnswer:
    found = await offload.read(retention_types.list_all, request.vault, request.identity)
    return m.RetentionListAnswer([_type(one) for one in found.types], _limit(found.limit))


async def simulate(request: Request) -> m.RetentionSimulateAnswer:
    message: m.RetentionSimulateRequest = request.message
    found = await offload.walk(retention.simulate, request.vault, request.identity, message.computer, message.job)
    return m.RetentionSimulateAnswer(
        [answers.answer(one, m.SimulatedSafeset, goes_ns=one.goes_ns or None) for one in found]
    )


async def pin(request: Request) -> m.SafesetPinAnswer:
    message: m.SafesetPinRequest = request.message
    await offload.write(held_safesets.pin, request.vault, request.identity, _named(message), message.reason)
    return m.SafesetPinAnswer()


async def unpin(request: Request) -> m.SafesetUnpinAnswer:
    await offload.write(held_safesets.unpin, request.vault, request.identity, _named(request.message))
    return m.SafesetUnpinAnswer()


async def delete(request: Request) -> m.SafesetDeleteAnswer:
    until_ns = await offload.write(held_safesets.delete, request.vault, request.identity, _named(request.message))
    return m.SafesetDeleteAnswer(until_ns)


async def undelete(request: Request) -> m.SafesetUndeleteAnswer:
    message: m.SafesetUndeleteRequest = request.message
    await offload.write(held_safesets.undelete, request.vault, request.identity, _named(message), message.reason)
    return m.SafesetUndeleteAnswer()


async def list_ended(request: Request) -> m.SafesetEndedAnswer:
    message: m.SafesetEndedRequest = request.message
    names = message.computer, message.job
    found = await offload.read(retention.list_ended_newest, request.vault, request.identity, *names)
    return m.SafesetEndedAnswer([answers.answer(one, m.EndedSafeset, until_ns=one.until_ns or None) for one in found])


async def freeze(request: Request) -> m.JobFreezeAnswer:
    message: m.JobFreezeRequest = request.message
    names = message.computer, message.job
    if message.reason is None:
        await offload.write(freezes.unfreeze, request.vault, request.identity, *names)
    else:
        await offload.write(freezes.freeze, request.vault, request.identity, *names, message.reason)
    return m.JobFreezeAnswer()


def _named(
    message: m.SafesetPinRequest | m.SafesetUnpinRequest | m.SafesetDeleteRequest | m.SafesetUndeleteRequest,
) -> Named:
    return Named(message.computer, message.job, message.number)


def _type(summary: RetentionSummary) -> m.RetentionSummary:
    return answers.answer(
        summary, m.RetentionSummary, set_ns=summary.set_ns or None, confirm_ns=summary.confirm_ns or None
    )


def _limit(summary: LimitSummary) -> m.LimitSummary:
    return answers.answer(summary, m.LimitSummary, confirm_ns=summary.confirm_ns or None)
