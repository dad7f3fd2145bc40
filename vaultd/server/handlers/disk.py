"""Disks, for the operator."""

from protocol import messages as m
from vaultd import metrics, offload
from vaultd.operations import disks
from vaultd.server import answers
from vaultd.server.request import Request


async def list_all(request: Request) -> m.DiskListAnswer:
    found = await offload.read(disks.list_disks, request.vault)
    return m.DiskListAnswer([answers.answer(disk, m.DiskSummary) for disk in found.disks], found.warnings)


async def hit(request: Request) -> m.DiskHitAnswer:
    message: m.DiskHitRequest = request.message
    page = await offload.walk(disks.hit_by, request.vault, message.disk, message.after or b"")
    return m.DiskHitAnswer([answers.answer(one, m.SafesetHit) for one in page.hits], page.next or None)


async def lost(request: Request) -> m.DiskLostAnswer:
    message: m.DiskLostRequest = request.message
    act = disks.take_back if message.undo else disks.declare_lost
    disk = await offload.write(act, request.vault, request.identity, message.disk)
    metrics.DISKS_OFFLINE.set(len(request.vault.store.disks.paths_away))
    return m.DiskLostAnswer(answers.answer(disk, m.DiskSummary))
