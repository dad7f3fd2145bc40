"""What a server holds for uploads stays within the budget of the process, whoever stands still; counted, not timed."""

import trio
import trio.testing

from protocol import limits
from protocol import messages as m
from protocol.byte_budget import ByteBudget
from protocol.codec import decode
from protocol.exchange import Exchange
from protocol.framing import Frame
from tests.protocol.support.certificates import Site
from tests.protocol.support.loopback import Server, connected, greet, say_hello

MIB = 1024 * 1024
BATCH = m.UploadBatch(b"r" * 16, 0, [100], b"c" * 32)
BUDGET_BYTES = 16 * MIB
UPLOADS = 32
LEAST_BYTES = 256 * 1024
FRAME_BYTES = 3 * MIB


class Standing:
    """Takes frames of uploads and holds them until it is let on, like a vault whose store stands still."""

    def __init__(self) -> None:
        self.begun: list[Exchange] = []
        self.go_on = trio.Event()
        self.holds_bytes = 0

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        if exchange.method == "agent.jobs":
            return await exchange.send_message(m.AgentJobsAnswer([]))
        self.begun.append(exchange)
        total = 0
        while (frame := await exchange.receive_frame()) is not None:
            total += len(frame.raw)
            await self._hold(exchange, frame)
        await exchange.send_message(m.UploadDurable(total))

    async def _hold(self, exchange: Exchange, frame: Frame) -> None:
        self.holds_bytes += frame.wire_bytes
        try:
            await self.go_on.wait()
        finally:
            self.holds_bytes -= frame.wire_bytes
        exchange.let_go(frame)

    @property
    def arrived_bytes(self) -> int:
        return sum(one._channel._untaken_bytes for one in self.begun)

    @property
    def kept_bytes(self) -> int:
        """What arrived and was not let go: held by this handler, or untaken in the channels."""
        return self.holds_bytes + self.arrived_bytes


async def upload(client, totals: list[int], frames: int = 3) -> None:
    async with client.call("chunk.upload") as call:
        for _ in range(frames):
            await call.send(BATCH, bytes(FRAME_BYTES))
        await call.end()
        totals.append((await call.receive(m.UploadDurable))[0].number)


async def test_a_store_that_stands_still_under_32_uploads_bounds_what_is_held(site: Site):
    standing, totals = Standing(), []
    server = Server(site, standing, ByteBudget(BUDGET_BYTES))
    async with server.running(), connected(site, server.port) as client:
        await say_hello(client)
        async with trio.open_nursery() as nursery:
            for _ in range(UPLOADS - 1):
                nursery.start_soon(upload, client, totals)
            with trio.CancelScope() as one:
                nursery.start_soon(upload, client, totals)
                while len(standing.begun) < UPLOADS or standing.holds_bytes < 2 * FRAME_BYTES:
                    await trio.testing.wait_all_tasks_blocked(0.05)
                await trio.testing.wait_all_tasks_blocked(0.2)
                assert standing.kept_bytes <= BUDGET_BYTES + UPLOADS * LEAST_BYTES
                # Everything else answers, on the same connection too, and so does an upload that is given up.
                assert await client.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
                one.cancel()
            assert await client.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
            standing.go_on.set()
    assert totals == [3 * FRAME_BYTES] * UPLOADS
    assert server.losses == []


async def test_a_handler_that_takes_nothing_bounds_what_can_be_sent(site: Site):
    release = trio.Event()
    begun: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        begun.append(exchange)
        await release.wait()
        total = 0
        while (frame := await exchange.receive_frame()) is not None:
            total += len(frame.raw)
            exchange.let_go(frame)
        await exchange.send_message(m.UploadDurable(total))

    totals: list[int] = []
    async with Server(site, handler).running() as server, connected(site, server.port) as client:
        await say_hello(client)
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(upload, client, totals)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert len(begun) == 8
            untaken = [exchange._channel._untaken_bytes for exchange in begun]
            assert all(0 < one <= 65_535 for one in untaken)
            release.set()
    assert totals == [3 * FRAME_BYTES] * 8


async def test_large_questions_that_never_end_stay_within_the_budget(site: Site):
    standing, raw_bytes = Standing(), limits.ID_BYTES * limits.OFFER_IDS_MAX
    head = b"\1\0\0\0" + (100).to_bytes(4, "little") + raw_bytes.to_bytes(4, "little")
    server = Server(site, standing, ByteBudget(BUDGET_BYTES))
    async with server.running(), connected(site, server.port) as client:
        await say_hello(client)
        for _ in range(limits.STREAMS_SIGNED_IN - 1):
            channel = await client.open_channel("chunk.offer")
            await channel.send([head, bytes(100), bytes(raw_bytes - 1)])
        while len(standing.begun) < limits.STREAMS_SIGNED_IN - 1 or standing.arrived_bytes < BUDGET_BYTES // 4:
            await trio.testing.wait_all_tasks_blocked(0.05)
        await trio.testing.wait_all_tasks_blocked(0.3)
        fixed_bytes = limits.STREAMS_SIGNED_IN * limits.H2_WINDOW_BYTES_OPEN
        assert standing.arrived_bytes <= BUDGET_BYTES // 2 + fixed_bytes
        assert await client.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)


async def test_a_frame_goes_on_when_a_small_one_before_it_is_let_go(site: Site):
    """The window of 4 MiB is used up when less than an eighth of it comes back: the peer must hear of that too."""
    window_bytes, totals = BUDGET_BYTES // 4, []
    sizes = [window_bytes // 8 - 100_000, window_bytes - 50_000]
    begun: list[Exchange] = []
    is_full = trio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "hello":
            return await greet(exchange)
        begun.append(exchange)
        first = await exchange.receive_frame()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_second, exchange)
            await is_full.wait()
            exchange.let_go(first)

    async def take_second(exchange: Exchange) -> None:
        frame = await exchange.receive_frame()
        await exchange.send_message(m.UploadDurable(len(frame.raw)))

    async def send(client) -> None:
        async with client.call("chunk.upload") as call:
            for size in sizes:
                await call.send(BATCH, bytes(size))
            totals.append((await call.receive(m.UploadDurable))[0].number)

    server = Server(site, handler, ByteBudget(BUDGET_BYTES))
    async with server.running(), connected(site, server.port) as client:
        await say_hello(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client)
            while not begun or begun[0]._channel.link.http2.outstanding(begun[0].stream_id) < window_bytes:
                await trio.testing.wait_all_tasks_blocked(0.05)
            await trio.testing.wait_all_tasks_blocked(0.2)
            is_full.set()
            for _ in range(40):  # else the upload waits for ever
                if not totals:
                    await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
    assert totals == sizes[1:]


async def test_frames_larger_than_the_whole_budget_come_one_by_one(site: Site):
    standing, totals = Standing(), []
    standing.go_on.set()
    server = Server(site, standing, ByteBudget(2 * MIB))
    async with server.running(), connected(site, server.port) as client:
        await say_hello(client)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(upload, client, totals)
    assert totals == [3 * FRAME_BYTES] * 5


async def test_a_frame_that_is_sent_slowly_keeps_the_others_waiting_for_a_time_only(site: Site, mock_clock):
    standing, totals = Standing(), []
    standing.go_on.set()
    server = Server(site, standing, ByteBudget(2 * MIB))
    async with server.running(), connected(site, server.port) as slow, connected(site, server.port) as client:
        await say_hello(slow)
        await say_hello(client)
        channel = await slow.open_channel("chunk.upload")
        await channel.send([b"\1\0\0\0" + (100).to_bytes(4, "little") + (16 * MIB).to_bytes(4, "little")])
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload, client, totals)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert totals == []
            for _ in range(2):
                mock_clock.jump(limits.SILENCE_SECONDS)
                await trio.testing.wait_all_tasks_blocked(0.05)
            for _ in range(40):  # else the upload waits for ever
                if not totals:
                    await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
        assert totals == [3 * FRAME_BYTES]
        frame = await channel.take_frame()
        assert decode(frame.header, m.ErrorMessage).code == "throttled"
        channel.close()
