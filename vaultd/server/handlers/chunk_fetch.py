"""chunk.fetch: records in the asked order, one batch after the other.

Invariants: a batch is read only with room in the budget of the process for the largest record, and it has its room
until the last of it is on its way; only then the next one is read. Damage is durable before a restore is told of it, so
that a later run sends again what it hit.
"""

from collections.abc import Sequence

from protocol import messages as m
from protocol.codec import decode
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import FETCH_IDS_MAX, ID_BYTES, RECORD_BYTES_MAX
from protocol.transport import Exchange
from vaultd import metrics, offload
from vaultd.errors import VaultError
from vaultd.operations import ledger
from vaultd.operations.fetch import FetchStream, open_fetch
from vaultd.server.fetch_budget import Room
from vaultd.server.service import Service
from vaultd.server.session import Session

# Or one record that is larger.
BATCH_BYTES = 2 * 1024 * 1024


async def fetch(service: Service, session: Session, exchange: Exchange) -> None:
    frame = await exchange.receive_frame()
    if frame is None:
        raise RemoteProtocolError(ErrorCode.bad_request, "The request has no message.")
    message = decode(frame.header, m.ChunkFetchRequest)
    ids = _split(bytes(frame.raw))
    stream = await offload.read(open_fetch, service.vault, session.identity, message.ticket)
    account_id, at = session.identity.account_id, 0
    with service.fetches.request(account_id):
        while at < len(ids):
            async with service.fetches.room(account_id, RECORD_BYTES_MAX) as room:
                at += await _send_next(service, exchange, stream, ids[at:], room)


async def _send_next(
    service: Service, exchange: Exchange, stream: FetchStream, ids: Sequence[bytes], room: Room
) -> int:
    """How many ids are answered; no record is held here afterwards."""
    batch = await offload.read(stream.fetch, ids, BATCH_BYTES)
    if "damaged" in batch.records:
        await _note_damage(service)
    records = [record for record in batch.records if not isinstance(record, str)]
    size_bytes = sum(map(len, records))
    room.shrink(size_bytes)
    lengths = [0 if isinstance(record, str) else len(record) for record in batch.records]
    lost = [record for record in batch.records if isinstance(record, str)]
    await exchange.send_message(m.FetchBatch(lengths, lost, batch.keys), records)
    await exchange.wait_sent()
    metrics.RECORDS_SENT.inc(len(records))
    metrics.RECORD_BYTES_SENT.inc(size_bytes)
    return len(batch.records)


async def _note_damage(service: Service) -> None:
    """A vault that cannot note it restores what it has all the same."""
    try:
        await offload.write(ledger.write, service.vault)
    except VaultError as error:
        await service.stop_if_broken(error)


def _split(raw: bytes) -> Sequence[bytes]:
    if not raw or len(raw) % ID_BYTES or len(raw) > FETCH_IDS_MAX * ID_BYTES:
        raise RemoteProtocolError(
            ErrorCode.bad_request, f"ids: {len(raw)} bytes are not 1 to {FETCH_IDS_MAX} ids of {ID_BYTES} bytes."
        )
    return [raw[at : at + ID_BYTES] for at in range(0, len(raw), ID_BYTES)]
