"""The two ways that the records of a run take: what is little, over the connection that is there. Trio thread.

A connection of its own for uploads costs three round trips before its first byte. What a stream may send without
waiting for the vault's window stands before no question for long, so as much goes over the connection of the questions;
what is more goes over its own.
"""

from collections.abc import Sequence

import trio

from protocol.limits import BULK_WINDOW_BYTES_MIN
from tools.agent.upload.sent_counts import SentCounts
from tools.agent.upload.upload import Upload
from tools.client.envelope import SealedRecord
from tools.client.session import VaultSession

LITTLE_BYTES = BULK_WINDOW_BYTES_MIN


class Lanes:
    """Both together are one upload: what was handed to them is durable when `finish` returns."""

    def __init__(self, session: VaultSession, run_id: bytes, nursery: trio.Nursery, counts: SentCounts) -> None:
        self._little = Upload(session.call("chunk.upload", is_small=True), run_id, nursery, counts)
        self._bulk = Upload(session.call("chunk.upload"), run_id, nursery, counts)
        self._left_bytes = LITTLE_BYTES

    async def send(self, records: Sequence[SealedRecord]) -> "Handed":
        """Returns when all of them were handed to a connection."""
        record_bytes = sum(len(sealed.record) for sealed in records)
        if record_bytes <= self._left_bytes:
            self._left_bytes -= record_bytes
            return Handed(self._little, await self._little.send(records))
        self._left_bytes = 0
        await self._little.end()
        return Handed(self._bulk, await self._bulk.send(records))

    async def end(self) -> None:
        """Nothing comes any more."""
        await self._little.end()
        await self._bulk.end()

    async def finish(self) -> None:
        """Everything that was sent is durable when this returns."""
        await self._little.finish()
        await self._bulk.finish()


class Handed:
    """What was handed to one of the lanes, up to a frame of it."""

    def __init__(self, upload: Upload, number: int) -> None:
        self._upload = upload
        self._number = number

    async def wait_durable(self) -> None:
        await self._upload.wait_durable(self._number)
