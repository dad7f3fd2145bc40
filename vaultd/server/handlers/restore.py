"""Restores: the slots' parameters, and a ticket against a proof."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import grants, restore
from vaultd.server import answers
from vaultd.server.request import Reply, Request


async def parameters(request: Request) -> m.RestoreParametersAnswer:
    message: m.RestoreParametersRequest = request.message
    found = await offload.read(restore.parameters, request.vault, request.identity, message.computer, message.job)
    slots = [answers.answer(slot, m.SlotParameters) for slot in found.slots]
    return answers.answer(found, m.RestoreParametersAnswer, slots=slots)


async def open_restore(request: Request) -> Reply:
    message: m.RestoreOpenRequest = request.message
    asked = restore.OpenRequest(
        computer=message.computer,
        job=message.job,
        slot_id=message.slot_id,
        proof=message.proof,
        sequence=message.sequence,
    )
    opened = await offload.read(restore.open_restore, request.vault, request.identity, asked)
    if opened.needs_grant:
        await offload.write(grants.use, request.vault, request.identity, opened.job_id)
    top = [opened.top_block, opened.top_companion]
    return Reply(answers.answer(opened, m.RestoreOpenAnswer, lengths=list(map(len, top))), top)
