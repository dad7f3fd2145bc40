"""Who may hand work over, and what is taken for an order. The sockets are real, the children are not."""

import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from tests.tools.agent.conftest import Site
from tools.agent.local import local_socket
from tools.agent.local.hand_over import hand_over
from tools.agent.local.orders import PREFIX, BackupOrder, Ended, Order, RestoreOrder, Work, encode_frame
from tools.agent.service import counter
from tools.agent.service.counter import serve_orders
from tools.agent.service.workbench import Workbench
from tools.agent.service.worker import Streams
from tools.client.failure import Failure
from tools.client.output import Output

ORDER = BackupOrder(job="documents", json=True)
RESTORE = RestoreOrder(
    job="documents", computer=None, sequence=0, paths=[b""], target=b"/t", overwrite="never", is_privileged=False,
    is_room_checked=True, password="correct horse battery", recovery_code=None, json=True,
)  # fmt: skip
STRANGER = os.geteuid() + 1


@dataclass
class Desk:
    state: Path
    begun: list[Work] = field(default_factory=list)
    cancelled: list[bool] = field(default_factory=list)

    async def run(self, work: Work, lock: int, streams: Streams, cancelled: trio.Event) -> int:
        """Writes where the caller does."""
        self.begun.append(work)
        assert streams.output is not None
        os.write(streams.output, b"done\n")
        if work.order == BackupOrder(job="endless", json=True):
            await cancelled.wait()
        self.cancelled.append(cancelled.is_set())
        return 3

    async def raw(self, data: bytes, descriptors: tuple[int, ...] = (1, 2)) -> Ended:
        """What somebody is answered who sends these bytes, at the end."""
        channel = local_socket.dial(self.state)
        assert channel is not None
        with channel:
            socket.send_fds(channel, [data], list(descriptors))
            answer = b""
            waiting = trio.socket.from_stdlib_socket(channel.dup())
            with waiting:
                while part := await waiting.recv(65536):
                    answer += part
        frames = []
        while answer:
            (length,) = PREFIX.unpack(answer[:4])
            frames.append(answer[4 : 4 + length])
            answer = answer[4 + length :]
        return msgspec.msgpack.decode(frames[-1], type=Ended)


@pytest.fixture
async def desk(site: Site, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    desk = Desk(site.state.path)
    with local_socket.listen(desk.state) as listener:
        nursery.start_soon(serve_orders, listener, Workbench(site.state, 99, desk.run), nursery)
        yield desk
        nursery.cancel_scope.cancel()


async def test_an_order_is_carried_out_and_its_exit_code_comes_back(desk: Desk, tmp_path: Path) -> None:
    output = os.open(tmp_path / "output", os.O_RDWR | os.O_CREAT)
    assert await desk.raw(encode_frame(ORDER), (output, 2)) == Ended(exit_code=3)
    os.close(output)
    assert [work.order for work in desk.begun] == [ORDER]
    assert (tmp_path / "output").read_bytes() == b"done\n"


async def test_nobody_else_hands_work_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "peer_user", lambda _: STRANGER)
    for order in (ORDER, RESTORE):
        ended = await desk.raw(encode_frame(order))
        assert (ended.exit_code, ended.code) == (5, "not_allowed")
    assert desk.begun == []


async def test_root_hands_over_nothing_to_a_service_of_another(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "peer_user", lambda _: 0)
    monkeypatch.setattr("tools.agent.service.counter.os.geteuid", lambda: 1000)
    for order in (ORDER, RESTORE):
        refused = await desk.raw(encode_frame(order))
        assert (refused.exit_code, refused.message) == (5, "this service works for user 1000, not for user 0")
    assert desk.begun == []


@pytest.mark.parametrize("order", [ORDER, RESTORE], ids=["backup", "restore"])
async def test_nothing_of_a_command_goes_to_a_process_of_another_user(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, order: Order
) -> None:
    """Whoever owns the state directory could have put a socket there for root to find; with the order go a secret, or
    the terminal that root types at.
    """
    monkeypatch.setattr("tools.agent.local.hand_over.peer_user", lambda _: STRANGER)
    with pytest.raises(Failure, match=f"the service of this state directory runs as user {STRANGER}"):
        await trio.to_thread.run_sync(hand_over, desk.state, order, Output())
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert desk.begun == []


def packed(**changes: object) -> bytes:
    data = msgspec.msgpack.encode(msgspec.to_builtins(ORDER, builtin_types=(bytes,)) | changes)
    return PREFIX.pack(len(data)) + data


@pytest.mark.parametrize(
    ("data", "descriptors", "what"),
    [
        (packed(more=1), (1, 2), "unknown field `more`"),
        (packed(job=7), (1, 2), "Expected `str`, got `int`"),
        (packed(job=""), (1, 2), "length >= 1"),
        (packed(type="asked"), (1, 2), "Invalid value 'asked'"),
        (encode_frame(ORDER)[:4] + b"\xc1" * 40, (1, 2), ""),
        (PREFIX.pack(1 << 30), (1, 2), "a frame of 1073741824 bytes"),
        (PREFIX.pack(0), (1, 2), "a frame of 0 bytes"),
        (encode_frame(ORDER) + b"x", (1, 2), "something follows"),
        (encode_frame(ORDER), (), "standard output and error"),
        (encode_frame(ORDER), (1,), "standard output and error"),
    ],
)
async def test_what_is_no_order_is_refused(desk: Desk, data: bytes, descriptors: tuple[int, ...], what: str) -> None:
    ended = await desk.raw(data, descriptors)
    assert (ended.exit_code, ended.code) == (2, "bad_request")
    assert what in ended.message
    assert desk.begun == []
    assert (await desk.raw(encode_frame(ORDER))).exit_code == 3  # the service goes on


async def test_a_fault_in_a_secret_is_told_without_it(desk: Desk) -> None:
    builtins = msgspec.to_builtins(RESTORE, builtin_types=(bytes,)) | {"password": 5 * ["correct horse battery"]}
    data = msgspec.msgpack.encode(builtins)
    ended = await desk.raw(PREFIX.pack(len(data)) + data)
    assert ended.exit_code == 2
    assert "horse" not in f"{ended.message}{ended.hint}"
    assert "horse" not in repr(RESTORE) + repr(Work(state=b"/s", order=RESTORE))


async def test_two_secrets_or_none_are_refused(desk: Desk) -> None:
    for changes in ({"recovery_code": bytes(20)}, {"password": None}):
        data = msgspec.msgpack.encode(msgspec.to_builtins(RESTORE, builtin_types=(bytes,)) | changes)
        ended = await desk.raw(PREFIX.pack(len(data)) + data)
        assert (ended.exit_code, desk.begun) == (2, [])


async def test_whoever_closes_cancels(desk: Desk) -> None:
    channel = local_socket.dial(desk.state)
    assert channel is not None
    with channel:
        socket.send_fds(channel, [encode_frame(BackupOrder(job="endless", json=True))], [1, 2])
        while not desk.begun:
            await trio.testing.wait_all_tasks_blocked()
        assert desk.cancelled == []
    while not desk.cancelled:
        await trio.testing.wait_all_tasks_blocked()
    assert desk.cancelled == [True]
    assert (await desk.raw(encode_frame(ORDER))).exit_code == 3
