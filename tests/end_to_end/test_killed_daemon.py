"""SIGKILL in the middle of an upload: what the last answer said is there, whole, after the next start."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from blake3 import blake3

from protocol import messages as m
from protocol.call import Call
from protocol.errors import ConnectionLost
from tests.end_to_end.conftest import Site
from tests.end_to_end.hand_made_job import agent_facts, begin, make_job, some_records
from tests.vaultd.operations.sealing import Sealer, id_of
from tools.client.session import Endpoint, connect

COMPUTER = "pc"
RECORD_BYTES = 60_000
RECORDS_PER_BATCH = 4
BATCHES_MAX = 2_000


@dataclass
class Sent:
    """Ids by the number of their batch, and the highest number that was answered as durable."""

    ids: dict[int, bytes] = field(default_factory=dict)
    durable: int = 0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, disks=2)
    site.settings["VAULTD_GROUP_COMMIT_BYTES"] = str(1 << 20)
    site.start()
    site.create_account("acme")
    site.register("acme", COMPUTER)
    yield site
    if site.daemon is not None:
        site.kill()


def people_endpoint(site: Site) -> Endpoint:
    context = json.loads(site.context("acme").read_text())
    return Endpoint(site.url, context["ca"], bytes.fromhex(context["token"]))


def agent_endpoint(site: Site) -> Endpoint:
    state = site.state(COMPUTER)
    identity = json.loads((state / "identity.json").read_text())
    return Endpoint(site.url, identity["authority_pem"], None, str(state / "agent.crt"), str(state / "agent.key"))


async def send_all(call: Call, sealer: Sealer, sent: Sent, begun: trio.Event) -> None:
    for number in range(1, BATCHES_MAX):
        records = some_records(sealer, RECORDS_PER_BATCH, RECORD_BYTES)
        cids = b"".join(blake3(record).digest() for record in records)
        sent.ids[number] = b"".join(id_of(record) for record in records)
        message = m.UploadBatch(sealer.run_id, number, [len(record) for record in records], cids)
        await call.send(message, b"".join(records))
        begun.set()


async def upload_until_killed(site: Site, call: Call, sealer: Sealer, answers: int) -> Sent:
    """Kills the daemon at so many answers, while more is on its way; answers that came before the end still count."""
    sent, begun = Sent(), trio.Event()
    assert site.daemon is not None

    async def send() -> None:
        try:
            await send_all(call, sealer, sent, begun)
        except ConnectionLost:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await begun.wait()
        count = 0
        try:
            while (received := await call.receive(m.UploadDurable)) is not None:
                sent.durable = received[0].number
                count += 1
                if count == answers:
                    site.daemon.send_signal(signal.SIGKILL)
        except ConnectionLost:
            pass
        nursery.cancel_scope.cancel()
    site.kill()
    return sent


@pytest.mark.parametrize("answers", [1, 10])
async def test_what_was_answered_as_durable_survives_a_kill_in_mid_upload(up: Site, answers: int) -> None:
    async with connect(people_endpoint(up), "test") as people, connect(agent_endpoint(up), "test") as agent:
        facts = await agent_facts(people, up.state(COMPUTER), COMPUTER)
        sealer = await make_job(people, agent, facts, COMPUTER)
        await begin(agent, sealer)
        with trio.fail_after(120):
            async with agent.call("chunk.upload") as call:
                sent = await upload_until_killed(up, call, sealer, answers)
    assert answers <= sent.durable <= max(sent.ids) < BATCHES_MAX - 1, "the daemon was not killed in the middle"
    await trio.to_thread.run_sync(up.start)
    acknowledged = b"".join(ids for number, ids in sent.ids.items() if number <= sent.durable)
    async with connect(agent_endpoint(up), "test") as agent:
        request = m.ChunkOfferRequest(sealer.run_id)
        offered, _ = await agent.ask("chunk.offer", request, m.ChunkOfferAnswer, acknowledged)
        assert offered.missing == 0
    assert await trio.to_thread.run_sync(up.stop) == 0
    checked = await trio.to_thread.run_sync(up.check)
    assert (checked.exit_code, checked.last["findings"]) == (0, [])
    assert checked.last["counts"]["records_in_containers"] >= sent.durable * RECORDS_PER_BATCH
