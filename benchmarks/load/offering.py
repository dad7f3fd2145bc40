"""An agent that stores tiny records under ids that everybody can tell, or offers such ids; it says as JSON what that
took: `python -m benchmarks.load.offering STATE SEED store FIRST COUNT`, `... offer FIRST COUNT HELD`.

Wire, session, run, run key, upload and offers are the agent's own. The records are what a vault can check: a body of
random bytes that nothing opens. An answer that is not what the ids say ends it with exit 1.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import trio
from blake3 import blake3

from benchmarks.data.offered_ids import KNOWN, ids_from, make_offer
from protocol import messages as m
from protocol.limits import BATCH_RECORDS_MAX, OFFER_IDS_MAX
from tools.agent.keys.job_keys import load_job_keys
from tools.agent.state import open_state
from tools.agent.upload.offer import find_missing
from tools.agent.upload.sent_counts import SentCounts
from tools.agent.upload.upload import Upload
from tools.agent.vault.connection import ask_vault, collect_garbage_rarely
from tools.client.envelope import SealedRecord
from tools.client.run_key import create_run_key
from tools.client.session import VaultSession

BODY_BYTES = 64  # the smallest that suite 1 has
OFFERS_IN_FLIGHT = 4
FRAMES_IN_FLIGHT = 32  # that the vault has not said to be durable
SAID = "took"


@dataclass(slots=True)
class Meter:
    """Time of this process from now on; what makes ids and records is the harness's own and no agent's."""

    start_seconds: float
    start_cpu_seconds: float
    making_cpu_seconds: float = 0.0

    @classmethod
    def begin(cls) -> Meter:
        return cls(time.perf_counter(), time.process_time())

    def made(self, since_cpu_seconds: float) -> None:
        self.making_cpu_seconds += time.thread_time() - since_cpu_seconds

    def read(self) -> dict[str, float]:
        cpu_seconds = time.process_time() - self.start_cpu_seconds
        return {
            "wall_seconds": round(time.perf_counter() - self.start_seconds, 3),
            "agent_cpu_seconds": round(cpu_seconds - self.making_cpu_seconds, 3),
            "harness_cpu_seconds": round(self.making_cpu_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class OpenRun:
    """What stores and offers go by."""

    session: VaultSession
    run_id: bytes
    keyring_id: bytes
    key_id: bytes


def main(words: list[str]) -> None:
    state, seed, action = open_state(Path(words[0])), int(words[1]), words[2]
    numbers = [int(word) for word in words[3:]]
    act = {"store": store, "offer": offer}[action]

    async def talk(session: VaultSession) -> dict[str, float]:
        answer, _ = await session.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
        (job,) = answer.jobs
        keys = await load_job_keys(session, state, state.load_identity(), job)
        run_id = os.urandom(16)
        await session.ask("run.begin", m.RunBeginRequest(job.job_id, run_id, None), m.RunBeginAnswer)
        run_key = create_run_key(keys, job.job_id, run_id)
        await session.ask("run.key", m.RunKeyRequest(run_id, run_key.sealed), m.RunKeyAnswer)
        meter = Meter.begin()
        await act(OpenRun(session, run_id, keys.keyring_id, run_key.key_id), meter, seed, *numbers)
        return meter.read()

    collect_garbage_rarely()
    print(json.dumps(ask_vault(state, state.load_identity(), talk)))


async def store(run: OpenRun, meter: Meter, seed: int, first: int, count: int) -> None:
    """The known ids from `first` on."""
    async with trio.open_nursery() as nursery:
        upload = Upload(run.session.call("chunk.upload"), run.run_id, nursery, SentCounts())

        async def send(part: range) -> None:
            since = time.thread_time()
            records = [make_record(run, id_) for id_ in ids_from(seed, KNOWN, part.start, len(part))]
            meter.made(since)
            await upload.wait_durable(await upload.send(records))

        await several(send, parts(first, count, BATCH_RECORDS_MAX), FRAMES_IN_FLIGHT)
        await upload.finish()


async def offer(run: OpenRun, meter: Meter, seed: int, first: int, count: int, held: int) -> None:
    """Offers of as many ids as one takes, from offer `first` on, of a row that has `count` ids."""

    async def ask(part: range) -> None:
        since = time.thread_time()
        ids, expected = make_offer(seed, first + part.start // OFFER_IDS_MAX, len(part), held)
        meter.made(since)
        if await find_missing(run.session, run.run_id, ids) != expected:
            raise SystemExit(f"the vault's answer to offer {first + part.start // OFFER_IDS_MAX} is wrong")

    await several(ask, parts(0, count, OFFER_IDS_MAX), OFFERS_IN_FLIGHT)


async def several(act: Callable[[range], Awaitable[None]], waiting: Iterator[range], at_once: int) -> None:
    """Acts on each, in order, so many at a time."""

    async def go_on() -> None:
        for part in waiting:
            await act(part)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(go_on)


def parts(first: int, count: int, most: int) -> Iterator[range]:
    return (range(start, min(start + most, first + count)) for start in range(first, first + count, most))


def make_record(run: OpenRun, id_: bytes) -> SealedRecord:
    """As docs/format.md#record draws it."""
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, run.keyring_id, run.key_id, id_, BODY_BYTES)
    record = head + blake3(head).digest(length=8) + id_ * (BODY_BYTES // len(id_))
    return SealedRecord(memoryview(record), blake3(record).digest())


if __name__ == "__main__":
    main(sys.argv[1:])
