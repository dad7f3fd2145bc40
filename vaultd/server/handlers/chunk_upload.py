"""chunk.upload: sealed records come in, and answers say up to which frame they are durable.

Two tasks a stream: one receives frames and has each checked and appended in one call of the write thread, one waits for
commits and answers. The next frame arrives while the last one is being stored, and no commit holds up an append.
Invariants: a frame counts in the byte budget of the process until the store has copied it; then it is let go, and no
variable of these tasks keeps it. A task that fails closes its channels without waiting (`with`): else a neighbour's
lost channel could come first, and cancel the error that says why.
"""

from dataclasses import dataclass
from functools import partial

import trio

from protocol import messages as m
from protocol.codec import decode
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.framing import Frame
from protocol.transport import Exchange
from vaultd import metrics
from vaultd.operations import upload as operation
from vaultd.operations.vault import Vault
from vaultd.records import Identity
from vaultd.server.service import Service
from vaultd.server.session import Session

# Frames that were appended and wait for their commit: only their numbers, the store has their bytes.
UNANSWERED_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class Appended:
    number: int
    ticket: int


async def upload(service: Service, session: Session, exchange: Exchange) -> None:
    appended_in, appended_out = trio.open_memory_channel[Appended](UNANSWERED_FRAMES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_receive, service, session.identity, exchange, appended_in)
        nursery.start_soon(_answer, service, exchange, appended_out)


async def _receive(
    service: Service, identity: Identity, exchange: Exchange, appended: trio.MemorySendChannel[Appended]
) -> None:
    last = -1
    with appended:
        while (stored := await _receive_frame(service, identity, exchange, last)) is not None:
            last = stored.number
            await appended.send(stored)
        service.group.hurry()


async def _receive_frame(service: Service, identity: Identity, exchange: Exchange, last: int) -> Appended | None:
    """None at the end."""
    frame = await exchange.receive_frame()
    if frame is None:
        return None
    message = decode(frame.header, m.UploadBatch)
    if message.number <= last:
        raise RemoteProtocolError(
            ErrorCode.bad_request, f"UploadBatch has number {message.number} after {last}; numbers must grow"
        )
    store = partial(_store, service.vault, identity, message, frame)
    ticket = await service.group.append(store, len(frame.raw))
    exchange.let_go(frame)
    return Appended(message.number, ticket)


async def _answer(service: Service, exchange: Exchange, appended: trio.MemoryReceiveChannel[Appended]) -> None:
    with appended:
        async for waiting in appended:
            await service.group.wait_durable(waiting.ticket)
            await exchange.send_message(m.UploadDurable(waiting.number))


def _store(vault: Vault, identity: Identity, message: m.UploadBatch, frame: Frame) -> None:
    """In the write thread: hashing there keeps the event loop from a hop for each frame, and it is faster than what
    comes in over TLS."""
    facts = operation.facts(vault, identity, message.run_id)
    batch = operation.UploadBatch(message.lengths, message.cids, frame.raw)
    stored = operation.append(vault, operation.verify(facts, batch), identity)
    metrics.RECORDS_STORED.inc(stored.records)
    metrics.RECORD_BYTES_STORED.inc(stored.bytes)
