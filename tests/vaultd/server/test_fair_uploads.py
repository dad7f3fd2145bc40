"""Many agents of one account upload at once: the vault takes their frames in turn."""

from __future__ import annotations

from collections import Counter
from threading import Event

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.vaultd.server.test_chunk_upload import FakeExchange, FakeOperation, Stage, batch
from vaultd import offload
from vaultd.server.group_commit import GroupCommit
from vaultd.server.handlers import chunk_upload

AGENTS = 32
FRAMES = 12
FRAMES_TAKEN_AHEAD = 1  # of an upload that nothing is stored of yet


async def test_thirty_two_uploads_of_one_account_are_stored_in_turn(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """With the threads and limits of the daemon. The write thread stands until everybody waits for it."""
    operation, standing = FakeOperation(), Event()
    monkeypatch.setattr(chunk_upload, "operation", operation)
    stage = Stage(operation)
    stage.group = GroupCommit(operation.commit, 1000, 0.05)
    nursery.start_soon(stage.group.run)
    nursery.start_soon(offload.write, standing.wait)
    exchanges = [
        FakeExchange([batch(number, bytes([agent]) * 100) for number in range(FRAMES)]) for agent in range(AGENTS)
    ]
    offload.work_for(b"a" * 16)
    try:
        async with trio.open_nursery() as uploads:
            for exchange in exchanges:
                uploads.start_soon(stage.upload, exchange)
            with trio.fail_after(60):
                while any(exchange.taken < FRAMES_TAKEN_AHEAD for exchange in exchanges):
                    await wait_all_tasks_blocked(0.01)
            assert operation.appended == []
            standing.set()
    finally:
        standing.set()
    stored: Counter[int] = Counter({agent: 0 for agent in range(AGENTS)})
    for record in operation.appended:
        stored[record[0]] += 1
        assert max(stored.values()) - min(stored.values()) <= 2
    assert set(stored.values()) == {FRAMES}
