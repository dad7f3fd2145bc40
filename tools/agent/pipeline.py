"""The moving part of a backup: scan, identify, offer, seal, upload, and the manifest beside it, all at once.

Invariants: rows reach the manifest in scan order; contents under way stay within the byte budget; when `run` returns,
every chunk, manifest block and companion is durable at the vault. The event loop only passes batches on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from protocol.errors import RemoteProtocolError
from protocol.messages import RunProgressAnswer, RunProgressRequest
from tools.agent.allocator import reuse_freed_memory
from tools.agent.batch import Batch
from tools.agent.budget import ByteBudget
from tools.agent.feed import Feed
from tools.agent.outgoing import Outgoing, RecordMaker
from tools.agent.scan import Scanner
from tools.agent.send import Sender
from tools.agent.upload import Upload
from tools.client.manifest_writer import WrittenManifest
from tools.client.offload import compute, read
from tools.client.session import VaultSession

MEMORY_BUDGET_BYTES = 64 * 1024 * 1024
REPORT_SECONDS = 3.0
# Batches between scan and manifest: each holds at most some thousand rows beside contents that the budget counts.
_ORDERED_BATCHES = 4
_NO_BLOCKS: list[Outgoing] = []


@dataclass(frozen=True, slots=True)
class Stages:
    """What does the work, made for one run."""

    scanner: Scanner
    maker: RecordMaker
    feed: Feed


@dataclass(frozen=True, slots=True)
class Sent:
    manifest: WrittenManifest
    records: int
    record_bytes: int
    content_bytes: int


class _Ordered:
    """A batch on its way to the manifest, which waits until its chunks have their ids."""

    __slots__ = ("batch", "is_identified")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.is_identified = trio.Event()


class Pipeline:
    def __init__(
        self, session: VaultSession, run_id: bytes, stages: Stages, tell: Callable[[], None],
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    ) -> None:  # fmt: skip
        self._session = session
        self._run_id = run_id
        self._stages = stages
        self._tell = tell
        self._budget = ByteBudget(memory_budget_bytes)

    async def run(self) -> Sent:
        reuse_freed_memory()
        async with trio.open_nursery() as nursery:
            upload = Upload(self._session, self._run_id, self._budget, nursery)
            sender = Sender(self._session, self._run_id, self._stages.maker, upload, self._budget)
            to_feed, from_scan = trio.open_memory_channel[_Ordered](_ORDERED_BATCHES)
            nursery.start_soon(self._report)
            async with trio.open_nursery() as work:
                work.start_soon(self._scan, sender, to_feed, work)
                manifest = await self._feed(sender, from_scan, work)
            await upload.finish()
            nursery.cancel_scope.cancel()
        content_bytes = sender.sent_content_bytes
        return Sent(manifest, upload.records, upload.record_bytes, content_bytes)

    async def _report(self) -> None:
        """How far the run is, for whoever waits for it elsewhere. No answer to it ends the run.

        It keeps the connection too: the vault ends one without requests, and a tree without changes may take hours.
        """
        figures = self._stages.scanner.figures
        while True:
            await trio.sleep(REPORT_SECONDS)
            told = RunProgressRequest(self._run_id, figures.files, figures.protected_bytes, figures.bytes_total)
            try:
                await self._session.ask("run.progress", told, RunProgressAnswer)
            except RemoteProtocolError:
                continue

    async def _scan(self, sender: Sender, to_feed: trio.MemorySendChannel[_Ordered], work: trio.Nursery) -> None:
        with to_feed:
            while (batch := await read(self._stages.scanner.next_batch)) is not None:
                self._tell()
                ordered = _Ordered(batch)
                if batch.chunks:
                    await self._budget.take(batch.chunk_bytes)
                    work.start_soon(self._send_chunks, sender, ordered)
                else:
                    ordered.is_identified.set()
                await to_feed.send(ordered)

    async def _send_chunks(self, sender: Sender, ordered: _Ordered) -> None:
        outgoing = await compute(self._stages.maker.identify, ordered.batch.chunks)
        ordered.is_identified.set()
        await sender.send(outgoing, ordered.batch.chunk_bytes)

    async def _feed(
        self, sender: Sender, from_scan: trio.MemoryReceiveChannel[_Ordered], work: trio.Nursery
    ) -> WrittenManifest:
        with from_scan:
            async for ordered in from_scan:
                await ordered.is_identified.wait()
                steps = self._stages.feed.add(ordered.batch)
                while blocks := await compute(next, steps, _NO_BLOCKS):
                    await self._send_blocks(blocks, sender, work)
        manifest, last_blocks = await compute(self._stages.feed.finish)
        await self._send_blocks(last_blocks, sender, work)
        return manifest

    async def _send_blocks(self, blocks: list[Outgoing], sender: Sender, work: trio.Nursery) -> None:
        if blocks:
            held_bytes = sum(len(item.content) for item in blocks)
            await self._budget.take(held_bytes)
            work.start_soon(sender.send, blocks, held_bytes)
