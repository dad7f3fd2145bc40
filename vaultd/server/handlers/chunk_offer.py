"""chunk.offer: which of these ids are not here."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import offer as operation
from vaultd.server.request import Reply, Request


async def offer(request: Request) -> Reply:
    offered = await offload.read(
        operation.offer, request.vault, request.identity, request.message.run_id, memoryview(request.raw)
    )
    return Reply(m.ChunkOfferAnswer(offered.missing), [offered.bitmap])
