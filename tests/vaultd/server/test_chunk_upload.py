"""chunk.upload over fakes: what is answered as durable, and how many frames wait in memory."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.codec import encode
from protocol.errors import RemoteProtocolError
from protocol.framing import MESSAGE, Frame
from protocol.messages import UploadBatch, UploadDurable
from vaultd.errors import BadRequest, NoSpace
from vaultd.records import Identity, Role
from vaultd.server.dispatch import _cause
from vaultd.server.group_commit import GroupCommit
from vaultd.server.handlers import chunk_upload
from vaultd.store.chunk_store import Appended

RUN_ID = b"r" * 16
RECORD = b"x" * 100


def batch(number: int, record: bytes | bytearray = RECORD) -> Frame:
    message = UploadBatch(run_id=RUN_ID, number=number, lengths=[len(record)], cids=bytes(32))
    return Frame(MESSAGE, encode(message), memoryview(record))


class FakeExchange:
    """Frames in, messages out."""

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames
        self.taken = 0
        self.sent: list[UploadDurable] = []
        self.let_go_frames: list[Frame] = []

    def let_go(self, frame: Frame) -> None:
        self.let_go_frames.append(frame)

    async def receive_frame(self) -> Frame | None:
        await trio.lowlevel.checkpoint()
        if self.taken == len(self.frames):
            return None
        self.taken += 1
        return self.frames[self.taken - 1]

    async def send_message(self, message: UploadDurable) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)


class FakeOperation:
    """The three steps of a batch; a record that begins with `!` is bad, one with `+` too much."""

    def __init__(self) -> None:
        self.appended: list[bytes] = []
        self.durable: list[int] = []

    UploadBatch = staticmethod(lambda lengths, cids, records: records)
    VerifiedBatch = memoryview

    def facts(self, _vault: object, _identity: Identity, run_id: bytes) -> bytes:
        return run_id

    def verify(self, _facts: bytes, records: memoryview) -> memoryview:
        if records[:1] == b"!":
            raise BadRequest("record 0 of the batch: cid is not the hash of the record")
        return records

    def append(self, _vault: object, records: memoryview, _identity: Identity) -> Appended:
        if records[:1] == b"+":
            raise NoSpace("the vault has no room left")
        self.appended.append(bytes(records))
        return Appended(1, len(records))

    def commit(self) -> None:
        self.durable.append(len(self.appended))


@dataclass
class Stage:
    """One upload with everything around it."""

    operation: FakeOperation
    may_write: trio.Event = field(default_factory=trio.Event)
    may_commit: trio.Event | None = None
    turns: int = 0  # of the event loop, that a call of the write thread takes

    def __post_init__(self) -> None:
        self.vault = object()
        self.identity = Identity(bytes(16), bytes(16), Role.AGENT, "pc")
        self.group = GroupCommit(self.operation.commit, 1000, 0.05, self.write)

    async def write(self, function: Callable[[], int]) -> int:
        await self.may_write.wait()
        if self.may_commit is not None and getattr(function, "__name__", "") == "_commit":
            await self.may_commit.wait()
        for _ in range(self.turns):
            await trio.lowlevel.checkpoint()
        return function()

    async def upload(self, exchange: FakeExchange) -> None:
        parts: Any = self
        await chunk_upload.upload(parts, parts, exchange)  # type: ignore[arg-type]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> Stage:
    operation = FakeOperation()
    monkeypatch.setattr(chunk_upload, "operation", operation)
    made = Stage(operation)
    nursery.start_soon(made.group.run)
    return made


async def test_every_frame_is_answered_in_order_after_its_commit(stage: Stage, autojump_clock: MockClock) -> None:
    stage.may_write.set()
    exchange = FakeExchange([batch(number) for number in range(5)])
    await stage.upload(exchange)
    assert [message.number for message in exchange.sent] == [0, 1, 2, 3, 4]
    assert stage.operation.durable[-1] == 5


async def test_nothing_is_answered_before_the_store_wrote(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = FakeExchange([batch(0)])
    nursery.start_soon(stage.upload, exchange)
    await trio.sleep(60)
    assert (exchange.sent, stage.operation.durable) == ([], [])
    stage.may_write.set()
    await trio.sleep(1)
    assert [message.number for message in exchange.sent] == [0]


async def test_nothing_is_answered_before_its_commit(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stage.may_write.set()
    stage.may_commit = trio.Event()
    exchange = FakeExchange([batch(0), batch(1)])
    nursery.start_soon(stage.upload, exchange)
    await trio.sleep(60)
    assert len(stage.operation.appended) == 2
    assert (exchange.sent, stage.operation.durable) == ([], [])
    stage.may_commit.set()
    await trio.sleep(1)
    assert [message.number for message in exchange.sent] == [0, 1]


async def test_a_store_that_stands_still_holds_few_frames(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    exchange = FakeExchange([batch(number) for number in range(50)])
    nursery.start_soon(stage.upload, exchange)
    await wait_all_tasks_blocked()
    assert exchange.taken == 1
    assert exchange.let_go_frames == []
    stage.may_write.set()
    await trio.sleep(1)
    assert len(exchange.sent) == 50
    assert exchange.let_go_frames == exchange.frames


async def test_a_frame_is_let_go_when_the_store_has_copied_it_and_nothing_keeps_it(
    stage: Stage, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The upload goes on and waits for its next frame: the last one is not kept till then."""

    class Waiting(FakeExchange):
        async def receive_frame(self) -> Frame | None:
            if not self.frames:
                await trio.sleep_forever()
            return self.frames.pop(0)

        def let_go(self, frame: Frame) -> None:
            assert stage.operation.appended

    class Content(bytearray):
        """Counted by whoever refers to it."""

    content = Content(RECORD)
    stage.may_write.set()
    nursery.start_soon(stage.upload, Waiting([batch(0, content)]))
    await trio.sleep(1)
    assert stage.operation.durable == [1]
    gone = weakref.ref(content)
    del content
    assert gone() is None


async def test_a_bad_batch_ends_the_upload_with_its_sentence(stage: Stage, autojump_clock: MockClock) -> None:
    stage.may_write.set()
    exchange = FakeExchange([batch(0), batch(1, b"!" * 100), batch(2)])
    with pytest.raises(ExceptionGroup) as caught:
        await stage.upload(exchange)
    cause = _cause(caught.value)
    assert isinstance(cause, BadRequest)
    assert len(stage.operation.appended) <= 1


@pytest.mark.parametrize("turns", range(4))
async def test_a_refusal_is_told_whatever_the_other_tasks_meet_meanwhile(
    stage: Stage, autojump_clock: MockClock, turns: int
) -> None:
    """The task that answers may be anywhere when the store refuses. Tasks that can run run in any order, so each is
    tried many times."""
    stage.may_write.set()
    stage.turns = turns
    causes = set()
    for _ in range(40):
        with pytest.raises(ExceptionGroup) as caught:
            await stage.upload(FakeExchange([batch(0), batch(1, b"+" * 100), batch(2)]))
        causes.add(type(_cause(caught.value)))
    assert causes == {NoSpace}


async def test_numbers_must_grow(stage: Stage, autojump_clock: MockClock) -> None:
    stage.may_write.set()
    with pytest.raises(ExceptionGroup) as caught:
        await stage.upload(FakeExchange([batch(3), batch(3)]))
    cause = _cause(caught.value)
    assert isinstance(cause, RemoteProtocolError)
    assert cause.message == "UploadBatch has number 3 after 3; numbers must grow"
