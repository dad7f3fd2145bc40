"""Contents under way: bounded while they wait for the connection, and held no longer than that."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from tests.tools.agent.conftest import Site
from tests.tools.agent.fake_vault import FakeUpload
from tools.agent.run.backup import back_up
from tools.agent.run.pace import Pace
from tools.agent.run.run_end import Done

MIB = 1024 * 1024
FILES, FILE_BYTES, BUDGET_BYTES = 160, MIB // 2, 16 * MIB
# Beside the budget: the batch that waits for it, and the one that is being read.
BESIDE_BYTES = 2 * 12 * MIB
WAIT_SECONDS = 60
Tell = Callable[[str, Any], None]


@pytest.fixture(autouse=True)
def source(site: Site) -> None:
    for number in range(FILES):
        (site.source / f"{number:03}").write_bytes(os.urandom(FILE_BYTES))


async def run(site: Site, tell: Tell) -> Done:
    agent = replace(site.agent, pace=Pace(memory_budget_bytes=BUDGET_BYTES))
    return await back_up(agent, site.vault.current_job(), tell)


async def test_what_was_handed_over_counts_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is long: nothing is acknowledged before all of the source is on its way, which is more than the budget."""
    sent_bytes, all_sent = 0, trio.Event()
    real_send, real_receive = FakeUpload.send, FakeUpload.receive

    async def send(self: FakeUpload, batch: Any, raw: Any) -> None:
        nonlocal sent_bytes
        await real_send(self, batch, raw)
        sent_bytes += sum(batch.lengths)
        if sent_bytes >= FILES * FILE_BYTES:
            all_sent.set()

    async def receive(self: FakeUpload, type: Any) -> Any:
        await all_sent.wait()
        return await real_receive(self, type)

    monkeypatch.setattr(FakeUpload, "send", send)
    monkeypatch.setattr(FakeUpload, "receive", receive)
    with trio.fail_after(WAIT_SECONDS):
        done = await run(site, lambda *_: None)
    assert done.safeset == 1


async def test_what_waits_for_the_connection_stays_within_the_budget(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_send = trio.Event()
    real_send = FakeUpload.send
    seen: list[Any] = []

    async def send(self: FakeUpload, batch: Any, raw: Any) -> None:
        await may_send.wait()
        await real_send(self, batch, raw)

    monkeypatch.setattr(FakeUpload, "send", send)
    with trio.fail_after(WAIT_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, site, lambda _, figures: seen.append(figures))
            while not seen or seen[-1].protected_bytes < BUDGET_BYTES:
                await trio.testing.wait_all_tasks_blocked(0.05)
            await trio.testing.wait_all_tasks_blocked(0.5)
            held_bytes = seen[-1].protected_bytes
            may_send.set()
    assert held_bytes <= BUDGET_BYTES + BESIDE_BYTES < FILES * FILE_BYTES
    assert seen[-1].protected_bytes == FILES * FILE_BYTES
