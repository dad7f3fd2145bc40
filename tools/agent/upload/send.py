"""Offers ids, seals what the vault lacks and uploads it; several batches may be under way at once. Trio thread.

An offer costs a round trip before anything can be sent. It is left out where it would cost more than it could save: all
of a run whose keyring was made for it, for the vault has nothing of that keyring; and the first UNASKED_BYTES of a run
whose base the vault has, for what the base does not hold is hardly ever there. What is there all the same is sent and
not stored twice.
"""

import math
from collections import OrderedDict

from tools.agent.budget import ByteBudget
from tools.agent.upload.lanes import LITTLE_BYTES, Lanes
from tools.agent.upload.offer import find_missing
from tools.agent.upload.outgoing import Outgoing, RecordMaker
from tools.agent.upload.sending import Sending
from tools.agent.upload.sent_counts import SentCounts
from tools.client.offload import compute
from tools.client.record_format import RecordType
from tools.client.session import VaultSession

# Ids offered lately, so that a chunk that comes twice in a run is sent once; about 20 MB.
OFFERED_IDS_MAX = 131_072
# At most so much of a run is sent in vain: what a line of 14 Mbit/s carries while a link of 150 ms brings the answer to
# an offer, and what an upload may have under way in any case.
UNASKED_BYTES = LITTLE_BYTES
ALL_UNASKED = math.inf


class Sender:
    """`unasked_bytes`: how much may be sent without an offer."""

    def __init__(
        self, session: VaultSession, run_id: bytes, maker: RecordMaker, lanes: Lanes, budget: ByteBudget,
        sending: Sending, counts: SentCounts, unasked_bytes: float,
    ) -> None:  # fmt: skip
        self._counts = counts
        self._session = session
        self._run_id = run_id
        self._maker = maker
        self._lanes = lanes
        self._budget = budget
        self._sending = sending
        self._unasked_bytes = unasked_bytes
        self._offered: OrderedDict[bytes, None] = OrderedDict()

    async def send(self, outgoing: list[Outgoing], held_bytes: int, number: int) -> None:
        """Returns when the vault has all of it, durable, and empties the list; `number` is what `Sending` calls it.
        `held_bytes` of the budget are given back when nothing of it is held any more.
        """
        missing = await self._missing([item for item in outgoing if self._is_new(item.id)])
        outgoing.clear()
        if not missing:
            await self._sending.sent(number)
            await self._budget.give_back(held_bytes)
            await self._sending.end(number)
            return
        content_bytes = sum(len(item.content) for item in missing if item.type == RecordType.DATA)
        records = await compute(self._maker.seal, missing)
        missing.clear()
        handed = await self._lanes.send(records)
        del records
        await self._budget.give_back(held_bytes)
        await self._sending.sent(number)
        await handed.wait_durable()
        self._counts.content_bytes += content_bytes
        await self._sending.end(number)

    def _is_new(self, id: bytes) -> bool:
        if id in self._offered:
            self._offered.move_to_end(id)
            return False
        self._offered[id] = None
        if len(self._offered) > OFFERED_IDS_MAX:
            self._offered.popitem(last=False)
            self._unasked_bytes = 0  # from now on the vault may have what is not known here any more
        return True

    async def _missing(self, items: list[Outgoing]) -> list[Outgoing]:
        size_bytes = sum(len(item.content) for item in items)
        if size_bytes <= self._unasked_bytes:
            self._unasked_bytes -= size_bytes
            return items
        if size_bytes > LITTLE_BYTES:
            self._session.expect_bulk()  # beside the offer
        lacking = await find_missing(self._session, self._run_id, [item.id for item in items])
        return [item for item, is_missing in zip(items, lacking, strict=True) if is_missing]
