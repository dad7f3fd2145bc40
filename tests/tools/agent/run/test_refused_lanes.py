"""Two lanes of an upload at a vault that stops: the one that was there already hears why, and the person too."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from protocol.errors import ErrorCode, RemoteProtocolError
from tools.agent.budget import ByteBudget
from tools.agent.upload.sent_counts import SentCounts
from tools.agent.upload.upload import Upload
from tools.client.envelope import SealedRecord

FULL = RemoteProtocolError(ErrorCode.no_space, "the vault has no room left")
STOPPING = RemoteProtocolError(ErrorCode.unavailable, "the vault is closing this connection")


class RefusedCall:
    """Takes frames, and is refused after some time."""

    def __init__(self, seconds: float, error: RemoteProtocolError) -> None:
        self._seconds = seconds
        self._error = error

    async def __aenter__(self) -> "RefusedCall":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self, _: object) -> None:
        await trio.sleep(self._seconds)
        raise self._error


@pytest.mark.parametrize("seconds", [0.0, 0.4])
async def test_why_the_vault_stops_is_told_by_the_lane_that_hears_it(autojump_clock: MockClock, seconds: float):
    record = SealedRecord(memoryview(b"r" * 100), bytes(32))
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match="no room left")):
        async with trio.open_nursery() as nursery:
            for call in (RefusedCall(0.0, STOPPING), RefusedCall(seconds, FULL)):
                lane: Any = call
                upload = Upload(lane, bytes(16), ByteBudget(1000), nursery, SentCounts())
                await upload.send([record], 100)


async def test_a_vault_that_only_stops_is_told_as_that(autojump_clock: MockClock):
    record = SealedRecord(memoryview(b"r" * 100), bytes(32))
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match="is closing")):
        async with trio.open_nursery() as nursery:
            lane: Any = RefusedCall(0.0, STOPPING)
            await Upload(lane, bytes(16), ByteBudget(1000), nursery, SentCounts()).send([record], 100)
