"""Offers ids, seals what the vault lacks and uploads it; several batches may be under way at once. Trio thread."""

from collections import OrderedDict
from collections.abc import Sequence

from tools.agent.budget import ByteBudget
from tools.agent.upload.offer import find_missing
from tools.agent.upload.outgoing import Outgoing, RecordMaker
from tools.agent.upload.sent_counts import SentCounts
from tools.agent.upload.upload import Upload
from tools.client.offload import compute
from tools.client.record_format import RecordType
from tools.client.session import VaultSession

# Ids offered lately, so that a chunk that comes twice in a run is sent once; about 20 MB.
OFFERED_IDS_MAX = 131_072


class Sender:
    def __init__(
        self, session: VaultSession, run_id: bytes, maker: RecordMaker, upload: Upload, budget: ByteBudget,
        counts: SentCounts,
    ) -> None:  # fmt: skip
        self._counts = counts
        self._session = session
        self._run_id = run_id
        self._maker = maker
        self._upload = upload
        self._budget = budget
        self._offered: OrderedDict[bytes, None] = OrderedDict()

    async def send(self, outgoing: list[Outgoing], held_bytes: int) -> None:
        """Returns when the vault has all of it, durable, and empties the list. `held_bytes` of the budget are given
        back when nothing of it is held any more.
        """
        missing = await self._missing([item for item in outgoing if self._is_new(item.id)])
        outgoing.clear()
        if not missing:
            await self._budget.give_back(held_bytes)
            return
        content_bytes = sum(len(item.content) for item in missing if item.type == RecordType.DATA)
        records = await compute(self._maker.seal, missing)
        missing.clear()
        await self._upload.send(records, held_bytes)
        self._counts.content_bytes += content_bytes

    def _is_new(self, id: bytes) -> bool:
        if id in self._offered:
            self._offered.move_to_end(id)
            return False
        self._offered[id] = None
        if len(self._offered) > OFFERED_IDS_MAX:
            self._offered.popitem(last=False)
        return True

    async def _missing(self, items: Sequence[Outgoing]) -> list[Outgoing]:
        lacking = await find_missing(self._session, self._run_id, [item.id for item in items])
        return [item for item, is_missing in zip(items, lacking, strict=True) if is_missing]
