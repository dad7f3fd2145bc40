"""chunk.fetch: records in the asked order, in frames of a few MiB; the next is read while the last one is sent."""

from collections.abc import Sequence

import trio

from protocol import messages as m
from protocol.codec import decode
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import FETCH_IDS_MAX, ID_BYTES
from protocol.transport import Exchange
from vaultd import metrics, offload
from vaultd.operations import restore
from vaultd.server.service import Service
from vaultd.server.session import Session

BATCH_BYTES = 8 * 1024 * 1024


async def fetch(service: Service, session: Session, exchange: Exchange) -> None:
    frame = await exchange.receive_frame()
    if frame is None:
        raise RemoteProtocolError(ErrorCode.bad_request, "The request has no message.")
    message = decode(frame.header, m.ChunkFetchRequest)
    ids = _split(bytes(frame.raw))
    stream = await offload.read(restore.open_fetch, service.vault, session.identity, message.ticket)
    send, receive = trio.open_memory_channel[restore.Fetched](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_read, stream, ids, send)
        async with receive:
            async for batch in receive:
                await exchange.send_message(m.FetchBatch(list(map(len, batch.records)), batch.keys), batch.records)
                metrics.RECORDS_SENT.inc(len(batch.records))
                metrics.RECORD_BYTES_SENT.inc(sum(map(len, batch.records)))


async def _read(
    stream: restore.FetchStream, ids: Sequence[bytes], batches: trio.MemorySendChannel[restore.Fetched]
) -> None:
    async with batches:
        at = 0
        while at < len(ids):
            batch = await offload.read(stream.fetch, ids[at:], BATCH_BYTES)
            at += len(batch.records)
            await batches.send(batch)


def _split(raw: bytes) -> list[bytes]:
    if not raw or len(raw) % ID_BYTES or len(raw) > FETCH_IDS_MAX * ID_BYTES:
        raise RemoteProtocolError(
            ErrorCode.bad_request, f"ids: {len(raw)} bytes are not 1 to {FETCH_IDS_MAX} ids of {ID_BYTES} bytes."
        )
    return [raw[at : at + ID_BYTES] for at in range(0, len(raw), ID_BYTES)]
