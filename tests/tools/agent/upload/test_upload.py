"""An upload that the vault ends is over when all of it is durable, and lost in any other case."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from protocol import messages as m
from protocol.errors import ConnectionLost
from tools.agent.upload.sent_counts import SentCounts
from tools.agent.upload.upload import Upload
from tools.client.envelope import SealedRecord


class EndedCall:
    """Takes every frame, acknowledges the first ones and ends in order."""

    def __init__(self, durable: Sequence[int]) -> None:
        self._answers = [m.UploadDurable(number) for number in durable]
        self._ended = trio.Event()

    async def __aenter__(self) -> "EndedCall":
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def send(self, batch: m.UploadBatch, raw: Any) -> None:
        await trio.lowlevel.checkpoint()

    async def end(self) -> None:
        self._ended.set()

    async def receive(self, type: Any) -> Any:
        await self._ended.wait()
        return (self._answers.pop(0), memoryview(b"")) if self._answers else None


async def uploaded(durable: Sequence[int]) -> SentCounts:
    """Two frames of a record each."""
    counts = SentCounts()
    async with trio.open_nursery() as nursery:
        upload = Upload(EndedCall(durable), b"r" * 16, nursery, counts)  # type: ignore[arg-type]
        for _ in range(2):
            await upload.send([SealedRecord(memoryview(b"record"), b"c" * 32)])
        await upload.finish()
    return counts


@pytest.mark.parametrize("durable", [[], [0]])
async def test_one_that_ends_before_everything_is_durable_is_lost(durable: list[int]) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await uploaded(durable)
    (lost,) = caught.value.exceptions
    assert isinstance(lost, ConnectionLost)


@pytest.mark.parametrize("durable", [[0, 1], [1]])
async def test_one_that_ends_behind_its_last_acknowledgement_is_over(durable: list[int]) -> None:
    assert await uploaded(durable) == SentCounts(2, 12, 0)
