"""Accounts, for the operator."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import accounts
from vaultd.server import answers
from vaultd.server.request import Request


async def create(request: Request) -> m.AccountCreateAnswer:
    created = await offload.write(accounts.create_account, request.vault, request.identity, request.message.name)
    return answers.answer(created, m.AccountCreateAnswer)


async def list_all(request: Request) -> m.AccountListAnswer:
    found = await offload.read(accounts.list_all, request.vault)
    return m.AccountListAnswer([answers.answer(account, m.AccountSummary) for account in found])


async def show(request: Request) -> m.AccountShowAnswer:
    details = await offload.read(accounts.show, request.vault, request.message.name)
    return m.AccountShowAnswer(
        account=answers.answer(details.account, m.AccountSummary),
        computers=[answers.computer(computer) for computer in details.computers],
    )
