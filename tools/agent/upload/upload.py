"""Sends sealed records in one long request and knows which of them are durable.

Invariant: `finish` returns only when the vault has said that everything sent is durable. An answer "durable up to n"
covers all batches up to n. Trio thread.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import trio

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.limits import BATCH_RECORDS_MAX
from protocol.messages import UploadBatch, UploadDurable
from protocol.transport import Call
from tools.agent.upload.sent_counts import SentCounts
from tools.client.envelope import SealedRecord
from tools.client.failure import Failure

# Small enough that the vault's default budget holds one of each of 48 uploads (docs/protocol.md).
FRAME_BYTES = 2 * 1024 * 1024


class KeyRefused(Failure):
    """The vault gave up this run's key, as damaged, so that nothing that comes under it could be restored; or it takes
    no more keys for a run that was gone on with very often.
    """


class _Waiting(NamedTuple):
    """A frame that the vault has not acknowledged."""

    number: int
    records: int
    record_bytes: int


class Upload:
    def __init__(self, call: Call, run_id: bytes, nursery: trio.Nursery, counts: SentCounts) -> None:
        self._run_id = run_id
        self._nursery = nursery
        self._counts = counts
        self._call = call
        self._sending = trio.Lock()
        self._number = 0
        self._is_open = self._is_ended = self._is_over = False
        self._waiting: deque[_Waiting] = deque()
        self._durable = trio.Condition()
        self._finished = trio.Event()

    async def send(self, records: Sequence[SealedRecord]) -> int:
        """Returns when all of them were handed to the connection, which holds one frame at most; with a number for
        `wait_durable`.
        """
        number = -1
        for frame in _frames(records):
            async with self._sending:
                number = await self._send_frame(frame)
        return number

    async def wait_durable(self, number: int) -> None:
        """Everything up to there."""
        async with self._durable:
            while self._waiting and self._waiting[0].number <= number:
                await self._durable.wait()

    async def end(self) -> None:
        """Nothing comes any more; said right behind the last frame the vault does not wait for another one."""
        async with self._sending:
            if self._is_open and not self._is_ended:
                self._is_ended = True
                await self._call.end()

    async def finish(self) -> None:
        """Everything that was sent is durable when this returns."""
        await self.end()
        if self._is_open:
            await self._finished.wait()

    async def _send_frame(self, records: Sequence[SealedRecord]) -> int:
        if self._is_over:  # this task was not cancelled yet
            raise ConnectionLost("the upload was ended before everything was sent", "run the backup again")
        number = self._number
        self._number += 1
        lengths = [len(sealed.record) for sealed in records]
        self._waiting.append(_Waiting(number, len(records), sum(lengths)))
        batch = UploadBatch(self._run_id, number, lengths, b"".join(sealed.cid for sealed in records))
        with _told_of_key():
            await self._call.send(batch, [sealed.record for sealed in records])
        if not self._is_open:
            self._is_open = True
            self._nursery.start_soon(self._receive)
        return number

    async def _receive(self) -> None:
        try:
            await self._receive_all()
        finally:
            self._is_over = True

    async def _receive_all(self) -> None:
        async with self._call:
            while (durable := await self._receive_durable()) is not None:
                while self._waiting and self._waiting[0].number <= durable.number:
                    frame = self._waiting.popleft()
                    self._counts.records += frame.records
                    self._counts.record_bytes += frame.record_bytes
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
