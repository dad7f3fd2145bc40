"""Where people's commands hand their work over: one connection of the local socket is one order.

Only the service's own user is heard. What comes is checked as strictly as what comes over the network. Who closes his
side cancels.
"""

import array
import errno
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import trio

from tools.agent.local.local_socket import peer_user
from tools.agent.local.orders import (
    PREFIX,
    Accepted,
    Ended,
    Order,
    Waiting,
    decode_message,
    encode_frame,
    frame_length,
)
from tools.agent.service.workbench import Piece, Workbench
from tools.agent.service.worker import Streams
from tools.client.failure import Failure, describe, is_own_fault

CONNECTIONS_MAX = 64
ORDER_SECONDS = 10.0
_READ_BYTES = 64 * 1024
_GONE = (BrokenPipeError, ConnectionResetError)
_FOR_A_WHILE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
_PAUSE_SECONDS = 1.0


async def serve_orders(listener: socket.socket, bench: Workbench, orders: trio.Nursery) -> None:
    """Until cancelled; what was taken goes on in `orders`. With too many of them the next ones wait at the door."""
    listener.setblocking(False)
    waiting = trio.socket.from_stdlib_socket(listener)
    room = trio.Semaphore(CONNECTIONS_MAX)
    while True:
        await room.acquire()
        try:
            channel, _ = await waiting.accept()
        except OSError as error:
            room.release()
            if error.errno not in _FOR_A_WHILE:
                raise
            await trio.sleep(_PAUSE_SECONDS)
            continue
        orders.start_soon(_serve_one, channel, bench, room)


async def _serve_one(channel: trio.socket.SocketType, bench: Workbench, room: trio.Semaphore) -> None:
    try:
        with channel, suppress(*_GONE):
            try:
                await _reply(channel, await _carry_out(channel, bench))
            except Exception as error:
                # One order ends with its own fault, not the service with all others.
                if is_own_fault(error):
                    traceback.print_exception(error)
                await _reply(channel, _refusal(describe(error)))
    finally:
        room.release()


async def _carry_out(channel: trio.socket.SocketType, bench: Workbench) -> Ended:
    with _closed_at_end([]) as descriptors:
        with trio.move_on_after(ORDER_SECONDS) as patience:
            order = await _receive(channel, descriptors)
        if patience.cancelled_caught:
            raise Failure("bad_request", f"no order came within {ORDER_SECONDS:.0f} seconds")
        user = peer_user(channel)
        if user != os.geteuid():
            raise Failure("not_allowed", f"this service works for user {os.geteuid()}, not for user {user}")
        await _reply(channel, Accepted())
        return await _follow(channel, bench, Piece(order, Streams(*descriptors)))


async def _follow(channel: trio.socket.SocketType, bench: Workbench, piece: Piece) -> Ended:
    async def tell_waiting(behind: str) -> None:
        with suppress(*_GONE):
            await _reply(channel, Waiting(behind=behind))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at_end, channel, piece)
        ended = await bench.carry_out(piece, tell_waiting)
        nursery.cancel_scope.cancel()
    return ended


async def _cancel_at_end(channel: trio.socket.SocketType, piece: Piece) -> None:
    with suppress(*_GONE):
        while await channel.recv(_READ_BYTES):
            pass
    piece.cancelled.set()


async def _receive(channel: trio.socket.SocketType, descriptors: list[int]) -> Order:
    """With the two descriptors that come beside its first bytes."""
    data = b""
    room = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    while len(data) < PREFIX.size or len(data) < PREFIX.size + frame_length(data[: PREFIX.size]):
        part, beside, _, _ = await channel.recvmsg(_READ_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        descriptors += _descriptors(beside)
        if not part:
            raise Failure("bad_request", "the order ended before it was whole")
        data += part
    if len(data) > PREFIX.size + frame_length(data[: PREFIX.size]):
        raise Failure("bad_request", "something follows the order")
    if len(descriptors) != 2:
        raise Failure("bad_request", "standard output and error come with an order, and nothing else")
    order: Order = decode_message(data[PREFIX.size :], Order)  # type: ignore[arg-type]
    return order


def _descriptors(beside: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


@contextmanager
def _closed_at_end(descriptors: list[int]) -> Iterator[list[int]]:
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def _reply(channel: trio.socket.SocketType, reply: msgspec.Struct) -> None:
    data = encode_frame(reply)
    while data:
        data = data[await channel.send(data) :]


def _refusal(failure: Failure) -> Ended:
    return Ended(exit_code=failure.exit_code, code=failure.code, message=failure.message, hint=failure.hint)
