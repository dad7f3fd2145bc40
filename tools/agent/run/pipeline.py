"""The moving part of a backup: scan, identify, offer, seal, upload, and the manifest beside it, all at once.

Invariants: rows reach the manifest in scan order; contents under way stay within the byte budget; what a provisional
safeset names is durable at the vault; when `run` returns, every chunk, manifest block and companion is. What the
journal counts as acknowledged is durable too, but for a chunk that a later batch has in common and sends, which may be
on its way: so the next run offers each id of the journal before it uses it. The event loop only passes batches on.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import trio

from protocol.allocator import reuse_freed_memory
from protocol.errors import RemoteProtocolError
from protocol.messages import RunProgressAnswer, RunProgressRequest
from tools.agent.budget import ByteBudget
from tools.agent.run.feed import Feed, SoFar
from tools.agent.run.pace import Pace
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.batch import Batch
from tools.agent.scan.scan import Scanner
from tools.agent.upload.lanes import Lanes
from tools.agent.upload.outgoing import Outgoing, RecordMaker
from tools.agent.upload.send import Sender
from tools.agent.upload.sending import Sending
from tools.agent.upload.sent_counts import SentCounts
from tools.client.manifest_writer import WrittenManifest
from tools.client.offload import compute, read
from tools.client.session import VaultSession

REPORT_SECONDS = 3.0
# Batches between scan and manifest: each holds at most some thousand rows beside contents that the budget counts.
_ORDERED_BATCHES = 4
_NO_BLOCKS: list[Outgoing] = []


@dataclass(frozen=True, slots=True)
class Stages:
    """What does the work, made for one run; `unasked_bytes` may be sent without an offer."""

    scanner: Scanner
    maker: RecordMaker
    feed: Feed
    journal: RunJournal
    unasked_bytes: float = 0


@dataclass(frozen=True, slots=True)
class Sent:
    manifest: WrittenManifest
    records: int
    record_bytes: int
    content_bytes: int


CommitSoFar = Callable[[SoFar, Sent], Awaitable[None]]
"""Makes a provisional safeset of what is durable when it is called."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Whoever wants to hear of a run: that it got on, and what would make a provisional safeset."""

    tell: Callable[[], None]
    commit_so_far: CommitSoFar


class _Ordered:
    """A batch on its way to the manifest, which waits until its chunks have their ids. What it sends for its rows was
    begun before the number `sent_before`; chunks that a later batch has in common may be that one's.
    """

    __slots__ = ("batch", "is_identified", "sent_before")

    def __init__(self, batch: Batch, sent_before: int) -> None:
        self.batch = batch
        self.is_identified = trio.Event()
        self.sent_before = sent_before


class Pipeline:
    def __init__(
        self, session: VaultSession, run_id: bytes, stages: Stages, listener: Listener, counts: SentCounts, pace: Pace
    ) -> None:
        """`counts` go on with what earlier connections of the run brought."""
        self._session = session
        self._run_id = run_id
        self._stages = stages
        self._listener = listener
        self._counts = counts
        self._pace = pace
        self._budget = ByteBudget(pace.memory_budget_bytes)
        self._sending = Sending()
        self._provisional_due = trio.current_time() + pace.provisional_seconds

    async def run(self) -> Sent:
        reuse_freed_memory()
        async with trio.open_nursery() as nursery:
            lanes = Lanes(self._session, self._run_id, nursery, self._counts)
            sender = Sender(
                self._session, self._run_id, self._stages.maker, lanes, self._budget, self._sending, self._counts,
                self._stages.unasked_bytes,
            )  # fmt: skip
            to_feed, from_scan = trio.open_memory_channel[_Ordered](_ORDERED_BATCHES)
            to_mark, from_feed = trio.open_memory_channel[tuple[int, int]](math.inf)
            nursery.start_soon(self._report)
            async with trio.open_nursery() as work:
                work.start_soon(self._scan, sender, to_feed, work)
                work.start_soon(self._mark, from_feed)
                with to_mark:
                    manifest = await self._feed(sender, from_scan, to_mark, work)
                await self._sending.all_sent()
                await lanes.end()
            await lanes.finish()
            nursery.cancel_scope.cancel()
        return self._sent(manifest)

    async def _report(self) -> None:
        """How far the run is, for whoever waits for it elsewhere. No answer to it ends the run.

        It keeps the connection too: the vault ends one without requests, and a tree without changes may take hours. One
        that was lost meanwhile is made anew by the next report, long before the root needs it.
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
                self._listener.tell()
                if batch.chunks:
                    await self._budget.take(batch.chunk_bytes)
                    number = self._sending.begin()
                    ordered = _Ordered(batch, self._sending.begun)
                    work.start_soon(self._send_chunks, sender, ordered, number)
                else:
                    ordered = _Ordered(batch, self._sending.begun)
                    ordered.is_identified.set()
                await to_feed.send(ordered)

    async def _send_chunks(self, sender: Sender, ordered: _Ordered, number: int) -> None:
        outgoing = await compute(self._stages.maker.identify, ordered.batch.chunks)
        ordered.is_identified.set()
        await sender.send(outgoing, ordered.batch.chunk_bytes, number)

    async def _feed(
        self, sender: Sender, from_scan: trio.MemoryReceiveChannel[_Ordered],
        to_mark: trio.MemorySendChannel[tuple[int, int]], work: trio.Nursery,
    ) -> WrittenManifest:  # fmt: skip
        journal = self._stages.journal
        marked = journal.rows_end
        with from_scan:
            async for ordered in from_scan:
                await ordered.is_identified.wait()
                steps = self._stages.feed.add(ordered.batch)
                while blocks := await compute(next, steps, _NO_BLOCKS):
                    await self._send_blocks(blocks, sender, work)
                if journal.rows_end != marked:
                    marked = journal.rows_end
                    await to_mark.send((ordered.sent_before, marked))
                if trio.current_time() >= self._provisional_due:
                    await self._send_so_far(sender, work)
        manifest, last_blocks = await compute(self._stages.feed.finish)
        await self._send_blocks(last_blocks, sender, work)
        return manifest

    async def _send_blocks(self, blocks: list[Outgoing], sender: Sender, work: trio.Nursery) -> None:
        if blocks:
            held_bytes = sum(len(item.content) for item in blocks)
            await self._budget.take(held_bytes)
            work.start_soon(sender.send, blocks, held_bytes, self._sending.begin())

    async def _mark(self, from_feed: trio.MemoryReceiveChannel[tuple[int, int]]) -> None:
        """Tells the journal what of it is acknowledged, in its order."""
        async for sent_before, journal_end in from_feed:
            await self._sending.durable_before(sent_before)
            await compute(self._stages.journal.acknowledge, journal_end, replace(self._counts))

    async def _send_so_far(self, sender: Sender, work: trio.Nursery) -> None:
        """One at a time: the next is due some time after this one is there."""
        so_far = await compute(self._stages.feed.so_far)
        self._provisional_due = math.inf if so_far else trio.current_time() + self._pace.provisional_seconds
        if so_far is not None:
            await self._send_blocks(so_far.blocks, sender, work)
            sent = self._sent(so_far.manifest)
            work.start_soon(self._commit_so_far, so_far, sent, self._sending.begun)

    async def _commit_so_far(self, so_far: SoFar, sent: Sent, sent_before: int) -> None:
        await self._sending.durable_before(sent_before)
        await self._listener.commit_so_far(so_far, sent)
        self._provisional_due = trio.current_time() + self._pace.provisional_seconds

    def _sent(self, manifest: WrittenManifest) -> Sent:
        counts = self._counts
        return Sent(manifest, counts.records, counts.record_bytes, counts.content_bytes)
