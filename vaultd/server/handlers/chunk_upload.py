"""chunk.upload: sealed records come in, and answers say up to which frame they are durable.

Three tasks a stream: one receives and verifies, one appends, one waits for commits and answers. So the next frame
arrives while the last one is being stored, and no commit holds up an append. At most QUEUED_FRAMES verified frames and
the one in the receiver's hand wait. Invariants: a frame counts in the byte budget of the process until the store has
copied it; then it is let go, and no variable of these tasks keeps it. A task that fails closes its channels without
waiting (`with`): else a neighbour's lost channel could come first, and cancel the error that says why.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import trio

from protocol import messages as m
from protocol.codec import decode
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.framing import Frame
from protocol.transport import Exchange
from vaultd import metrics, offload
from vaultd.operations import upload as operation
from vaultd.operations.vault import Vault
from vaultd.records import Identity
from vaultd.server.service import Service
from vaultd.server.session import Session

QUEUED_FRAMES = 1
# Frames that were appended and wait for their commit: only their numbers, the store has their bytes.
UNANSWERED_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class Verified:
    number: int
    batch: operation.VerifiedBatch
    frame: Frame


@dataclass(frozen=True, slots=True)
class Appended:
    number: int
    ticket: int


async def upload(service: Service, session: Session, exchange: Exchange) -> None:
    verified_in, verified_out = trio.open_memory_channel[Verified](QUEUED_FRAMES)
    appended_in, appended_out = trio.open_memory_channel[Appended](UNANSWERED_FRAMES)
    store_frame = partial(_store_frame, service, session.identity, exchange)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_receive, partial(_verify, service.vault, session.identity), exchange, verified_in)
        nursery.start_soon(_append, service, store_frame, verified_out, appended_in)
        nursery.start_soon(_answer, service, exchange, appended_out)


async def _receive(verify: partial[Verified], exchange: Exchange, verified: trio.MemorySendChannel[Verified]) -> None:
    last = -1
    with verified:
        while (number := await _receive_frame(verify, exchange, last, verified)) is not None:
            last = number


async def _receive_frame(
    verify: partial[Verified], exchange: Exchange, last: int, verified: trio.MemorySendChannel[Verified]
) -> int | None:
    """Its number; None at the end."""
    frame = await exchange.receive_frame()
    if frame is None:
        return None
    message = decode(frame.header, m.UploadBatch)
    if message.number <= last:
        raise RemoteProtocolError(
            ErrorCode.bad_request, f"UploadBatch has number {message.number} after {last}; numbers must grow"
        )
    await verified.send(await offload.compute(verify, message, frame))
    return message.number


async def _append(
    service: Service,
    store_frame: Callable[[Verified], Awaitable[Appended]],
    verified: trio.MemoryReceiveChannel[Verified],
    appended: trio.MemorySendChannel[Appended],
) -> None:
    with verified, appended:
        async for waiting in verified:
            await appended.send(await store_frame(waiting))
            del waiting
        service.group.hurry()


async def _store_frame(service: Service, identity: Identity, exchange: Exchange, waiting: Verified) -> Appended:
    ticket = await service.group.append(partial(_store, service.vault, identity, waiting.batch), len(waiting.frame.raw))
    exchange.let_go(waiting.frame)
    return Appended(waiting.number, ticket)


async def _answer(service: Service, exchange: Exchange, appended: trio.MemoryReceiveChannel[Appended]) -> None:
    with appended:
        async for waiting in appended:
            await service.group.wait_durable(waiting.ticket)
            await exchange.send_message(m.UploadDurable(waiting.number))


def _verify(vault: Vault, identity: Identity, message: m.UploadBatch, frame: Frame) -> Verified:
    """In a compute thread."""
    facts = operation.facts(vault, identity, message.run_id)
    batch = operation.UploadBatch(message.lengths, message.cids, frame.raw)
    return Verified(message.number, operation.verify(facts, batch), frame)


def _store(vault: Vault, identity: Identity, batch: operation.VerifiedBatch) -> None:
    """In the write thread."""
    stored = operation.append(vault, batch, identity)
    metrics.RECORDS_STORED.inc(stored.records)
    metrics.RECORD_BYTES_STORED.inc(stored.bytes)
