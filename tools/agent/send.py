"""Offers ids, seals what the vault lacks and uploads it; several batches may be under way at once. Trio thread."""

from collections import OrderedDict
from collections.abc import Sequence

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import OFFER_IDS_MAX
from protocol.messages import ChunkOfferAnswer, ChunkOfferRequest
from tools.agent.budget import ByteBudget
from tools.agent.outgoing import Outgoing, RecordMaker
from tools.agent.upload import Upload
from tools.client.offload import compute
from tools.client.record_format import RecordType
from tools.client.session import VaultSession

# Ids offered lately, so that a chunk that comes twice in a run is sent once; about 20 MB.
OFFERED_IDS_MAX = 131_072


class Sender:
    def __init__(
        self, session: VaultSession, run_id: bytes, maker: RecordMaker, upload: Upload, budget: ByteBudget
    ) -> None:
        self.sent_content_bytes = 0  # of files; manifest blocks and companions are no content
        self._session = session
        self._run_id = run_id
        self._maker = maker
        self._upload = upload
        self._budget = budget
        self._offered: OrderedDict[bytes, None] = OrderedDict()

    async def send(self, outgoing: list[Outgoing], held_bytes: int) -> None:
        """Empties the list. `held_bytes` of the budget are given back when nothing of it is held any more."""
        missing = await self._missing([item for item in outgoing if self._is_new(item.id)])
        outgoing.clear()
        if not missing:
            await self._budget.give_back(held_bytes)
            return
        self.sent_content_bytes += sum(len(item.content) for item in missing if item.type == RecordType.DATA)
        records = await compute(self._maker.seal, missing)
        missing.clear()
        await self._upload.send(records, held_bytes)

    def _is_new(self, id: bytes) -> bool:
        if id in self._offered:
            self._offered.move_to_end(id)
            return False
        self._offered[id] = None
        if len(self._offered) > OFFERED_IDS_MAX:
            self._offered.popitem(last=False)
        return True

    async def _missing(self, items: Sequence[Outgoing]) -> list[Outgoing]:
        missing: list[Outgoing] = []
        for start in range(0, len(items), OFFER_IDS_MAX):
            part = items[start : start + OFFER_IDS_MAX]
            ids = b"".join(item.id for item in part)
            answer, bitmap = await self._session.ask(
                "chunk.offer", ChunkOfferRequest(self._run_id), ChunkOfferAnswer, ids
            )
            lacking = [item for i, item in enumerate(part) if i // 8 < len(bitmap) and bitmap[i // 8] >> i % 8 & 1]
            if len(bitmap) != -(-len(part) // 8) or len(lacking) != answer.missing:
                raise RemoteProtocolError(ErrorCode.internal, "the vault's answer to an offer has the wrong length")
            missing += lacking
        return missing
