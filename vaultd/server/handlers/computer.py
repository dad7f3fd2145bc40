"""Computers of the caller's account."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import computers, removal
from vaultd.server import answers
from vaultd.server.request import Request


async def invite(request: Request) -> m.ComputerInviteAnswer:
    request.service.invitations.count(request.identity.account_id)
    message: m.ComputerInviteRequest = request.message
    invitation = await offload.write(computers.invite, request.vault, request.identity, message.kind, message.replace)
    return answers.answer(invitation, m.ComputerInviteAnswer)


async def remove(request: Request) -> m.ComputerRemoveAnswer:
    """From the answer on its open connections are refused too."""
    removed = await offload.write(removal.remove_computer, request.vault, request.identity, request.message.computer)
    request.service.removed_computers.add(removed.computer_id)
    request.service.work.wake(removed.computer_id)
    for job_id in removed.job_ids:
        request.service.progress.forget_job(job_id)
    return m.ComputerRemoveAnswer(removed.removed_ns)


async def list_all(request: Request) -> m.ComputerListAnswer:
    found = await offload.read(computers.list_all, request.vault, request.identity)
    return m.ComputerListAnswer([answers.computer(computer) for computer in found])


async def show(request: Request) -> m.ComputerShowAnswer:
    details = await offload.read(computers.show, request.vault, request.identity, request.message.computer)
    return m.ComputerShowAnswer(
        computer=answers.computer(details.computer),
        tls_key=details.tls_key,
        sealing_key=details.sealing_key,
        jobs=[answers.job(job) for job in details.jobs],
    )
