"""Asks the vault which ids it lacks. Trio thread."""

from collections.abc import Sequence

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import OFFER_IDS_MAX
from protocol.messages import ChunkOfferAnswer, ChunkOfferRequest
from tools.client.session import VaultSession


async def find_missing(session: VaultSession, run_id: bytes, ids: Sequence[bytes]) -> list[bool]:
    """For each id whether the vault lacks it; as many at a time as an offer takes."""
    missing: list[bool] = []
    for start in range(0, len(ids), OFFER_IDS_MAX):
        part = ids[start : start + OFFER_IDS_MAX]
        answer, bitmap = await session.ask("chunk.offer", ChunkOfferRequest(run_id), ChunkOfferAnswer, b"".join(part))
        lacking = [i // 8 < len(bitmap) and bool(bitmap[i // 8] >> i % 8 & 1) for i in range(len(part))]
        if len(bitmap) != -(-len(part) // 8) or sum(lacking) != answer.missing:
            raise RemoteProtocolError(ErrorCode.internal, "the vault's answer to an offer has the wrong length")
        missing += lacking
    return missing
