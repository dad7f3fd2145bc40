"""Sends sealed records in one long request and knows which of them are durable.

Invariant: `finish` returns only when the vault has said that everything sent is durable. An answer "durable up to n"
covers all batches up to n. Trio thread.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.limits import BATCH_RECORDS_MAX
from protocol.messages import UploadBatch, UploadDurable
from tools.agent.budget import ByteBudget
from tools.client.envelope import SealedRecord
from tools.client.failure import Failure
from tools.client.session import VaultSession

# Small enough that the vault's default budget holds one of each of 32 uploads (docs/protocol.md).
FRAME_BYTES = 2 * 1024 * 1024


class KeyRefused(Failure):
    """The vault gave up this run's key, as damaged: nothing that comes under it could be restored."""


class Upload:
    """`count_durable` hears of every part of what was sent how many records it is."""

    def __init__(
        self, session: VaultSession, run_id: bytes, budget: ByteBudget, nursery: trio.Nursery,
        count_durable: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.records = 0
        self.record_bytes = 0
        self._run_id = run_id
        self._budget = budget
        self._nursery = nursery
        self._count_durable = count_durable
        self._call = session.call("chunk.upload")
        self._sending = trio.Lock()
        self._number = 0
        self._is_open = False
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._durable = trio.Condition()
        self._finished = trio.Event()

    async def send(self, records: Sequence[SealedRecord], held_bytes: int) -> None:
        """Returns when all of them are durable; `held_bytes` go back to the budget then."""
        frames = list(_frames(records))
        number = -1
        for position, frame in enumerate(frames):
            async with self._sending:
                number = await self._send_frame(frame, held_bytes if position == len(frames) - 1 else 0)
        async with self._durable:
            while self._waiting and self._waiting[0][0] <= number:
                await self._durable.wait()

    async def finish(self) -> None:
        """Everything that was sent is durable when this returns."""
        if not self._is_open:
            return
        async with self._sending:
            await self._call.end()
        await self._finished.wait()

    async def _send_frame(self, records: Sequence[SealedRecord], held_bytes: int) -> int:
        number = self._number
        self._number += 1
        self._waiting.append((number, len(records), held_bytes))
        lengths = [len(sealed.record) for sealed in records]
        batch = UploadBatch(self._run_id, number, lengths, b"".join(sealed.cid for sealed in records))
        with _told_of_key():
            await self._call.send(batch, [sealed.record for sealed in records])
        self.records += len(records)
        self.record_bytes += sum(lengths)
        if not self._is_open:
            self._is_open = True
            self._nursery.start_soon(self._receive)
        return number

    async def _receive(self) -> None:
        async with self._call:
            while (durable := await self._receive_durable()) is not None:
                while self._waiting and self._waiting[0][0] <= durable.number:
                    _, count, held_bytes = self._waiting.popleft()
                    self._count_durable(count)
                    await self._budget.give_back(held_bytes)
                async with self._durable:
                    self._durable.notify_all()
        if self._waiting:
            raise ConnectionLost("the vault ended the upload before everything was durable", "run the backup again")
        self._finished.set()

    async def _receive_durable(self) -> UploadDurable | None:
        with _told_of_key():
            received = await self._call.receive(UploadDurable)
        return received[0] if received else None


@contextmanager
def _told_of_key() -> Iterator[None]:
    try:
        yield
    except RemoteProtocolError as error:
        if error.code != ErrorCode.damaged:
            raise
        raise KeyRefused(error.code, error.message, error.hint) from None


def _frames(records: Sequence[SealedRecord]) -> Iterator[list[SealedRecord]]:
    frame: list[SealedRecord] = []
    frame_bytes = 0
    for sealed in records:
        if frame and (frame_bytes + len(sealed.record) > FRAME_BYTES or len(frame) == BATCH_RECORDS_MAX):
            yield frame
            frame, frame_bytes = [], 0
        frame.append(sealed)
        frame_bytes += len(sealed.record)
    if frame:
        yield frame
