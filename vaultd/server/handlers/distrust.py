"""Distrust of the runs of a computer of the caller's account."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import distrust
from vaultd.operations import leaning as operation
from vaultd.operations.distrust import Suspicion
from vaultd.server import answers
from vaultd.server.request import Request


async def distrust_runs(request: Request) -> m.ComputerDistrustAnswer:
    message: m.ComputerDistrustRequest = request.message
    suspicion = Suspicion(message.computer, message.since_ns)
    if message.dry_run:
        found = await offload.read(distrust.count, request.vault, request.identity, suspicion)
    else:
        act = distrust.trust_again if message.undo else distrust.distrust
        found = await offload.write(act, request.vault, request.identity, suspicion)
    return m.ComputerDistrustAnswer(found.runs, found.keys)


async def leaning(request: Request) -> m.ComputerLeaningAnswer:
    message: m.ComputerLeaningRequest = request.message
    suspicion = Suspicion(message.computer, message.since_ns)
    page = await offload.walk(operation.leaning, request.vault, request.identity, suspicion, message.after or b"")
    return m.ComputerLeaningAnswer([answers.answer(one, m.LeaningSafeset) for one in page.safesets], page.next or None)
