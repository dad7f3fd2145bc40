"""How much the agent that stores known ids has under way at once."""

from typing import Any

import pytest
import trio
import trio.testing

from benchmarks.load import offering
from protocol import messages as m


class Call:
    """Says durable what the test lets it say."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.to_agent, self.answers = trio.open_memory_channel[m.UploadDurable](float("inf"))

    def call(self, method: str) -> "Call":
        assert method == "chunk.upload"
        return self

    async def __aenter__(self) -> "Call":
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def send(self, batch: m.UploadBatch, raw: Any) -> None:
        self.numbers.append(batch.number)

    async def end(self) -> None:
        await self.to_agent.aclose()

    async def receive(self, type: Any) -> Any:
        try:
            return await self.answers.receive(), memoryview(b"")
        except trio.EndOfChannel:
            return None


async def test_so_many_frames_wait_to_be_durable_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offering, "BATCH_RECORDS_MAX", 2)
    monkeypatch.setattr(offering, "FRAMES_IN_FLIGHT", 3)
    call = Call()
    run: Any = offering.OpenRun(call, bytes(16), bytes(16), bytes(16))  # type: ignore[arg-type]
    under_way = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(offering.store, run, offering.Meter.begin(), 5, 0, 14)
        for number in range(7):
            await trio.testing.wait_all_tasks_blocked()
            under_way.append(len(call.numbers) - number)
            await call.to_agent.send(m.UploadDurable(number))
    assert under_way == [3, 3, 3, 3, 3, 2, 1]
