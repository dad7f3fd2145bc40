"""Grants of the caller's account."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import grants
from vaultd.operations.grants import Granting, GrantSummary
from vaultd.server import answers
from vaultd.server.request import Request


async def give(request: Request) -> m.SafesetGrantAnswer:
    message: m.SafesetGrantRequest = request.message
    granting = Granting(message.computer, message.job, message.to)
    given = await offload.write(grants.give, request.vault, request.identity, granting, message.days)
    return m.SafesetGrantAnswer(_answer(given))


async def list_all(request: Request) -> m.SafesetGrantsAnswer:
    found = await offload.read(grants.list_all, request.vault, request.identity)
    return m.SafesetGrantsAnswer([_answer(one) for one in found])


async def revoke(request: Request) -> m.SafesetRevokeAnswer:
    message: m.SafesetRevokeRequest = request.message
    granting = Granting(message.computer, message.job, message.to)
    await offload.write(grants.revoke, request.vault, request.identity, granting)
    return m.SafesetRevokeAnswer()


def _answer(summary: GrantSummary) -> m.GrantSummary:
    return answers.answer(summary, m.GrantSummary, first_used_ns=summary.first_used_ns or None)
