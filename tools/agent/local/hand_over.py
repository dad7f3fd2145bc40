"""A command hands its work to the service, where one is up, and ends as that work did.

The service's child writes to this process's own standard output and error, which are passed on: so people and scripts
see what they would see without a service. No event loop here.
"""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

from tools.agent.local.local_socket import dial, peer_user
from tools.agent.local.orders import (
    PREFIX,
    Accepted,
    Ended,
    Order,
    Reply,
    RestoreOrder,
    Waiting,
    decode_message,
    encode_frame,
    frame_length,
)
from tools.client.failure import Failure
from tools.client.output import Output

_GONE = Failure(
    "unavailable",
    "the service ended before this work did",
    "look what was done, and run it again: what was acknowledged is kept",
)


def hand_over(state: Path, order: Order, output: Output) -> int | None:
    """The exit code; None where no service took the work, and it is to be done here."""
    channel = dial(state)
    if channel is None:
        return None
    with channel:
        _check_user(channel, order)
        if not _send(channel, order):
            return None
        ended = _follow(channel, output)
    if ended is not None and ended.message:
        raise Failure(ended.code, ended.message, ended.hint)
    return None if ended is None else ended.exit_code


def is_up(state: Path) -> bool:
    channel = dial(state)
    if channel is None:
        return False
    channel.close()
    return True


def _check_user(channel: socket.socket, order: Order) -> None:
    """It gets our standard output and error, which may be a terminal, and writes a restore with its own rights: nothing
    of that is for another user's process, whoever we are.
    """
    user = peer_user(channel)
    if user != os.geteuid():
        what = "restore" if isinstance(order, RestoreOrder) else "backup"
        raise Failure(
            "not_allowed",
            f"the service of this state directory runs as user {user}, not as you",
            f"{what} as user {user} (`runuser -u USER`), or stop the service and do it again",
        )


def _send(channel: socket.socket, order: Order) -> bool:
    """With standard output and error; what is closed here is nowhere there."""
    frame = encode_frame(order)
    with ExitStack() as opened:
        descriptors = [_open_descriptor(number, opened) for number in (1, 2)]
        try:
            sent_bytes = socket.send_fds(channel, [frame], descriptors)
            channel.sendall(frame[sent_bytes:])
        except (BrokenPipeError, ConnectionResetError):
            return False
    return True


def _open_descriptor(number: int, opened: ExitStack) -> int:
    try:
        os.fstat(number)
    except OSError:
        number = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        opened.callback(os.close, number)
    return number


def _follow(channel: socket.socket, output: Output) -> Ended | None:
    """Until the end. Ctrl-C closes this side, which cancels the work there; a second one ends this program at once."""
    is_accepted = is_cancelled = False
    while True:
        try:
            reply = _receive(channel)
        except KeyboardInterrupt:
            if is_cancelled:
                raise
            is_cancelled = True
            channel.shutdown(socket.SHUT_WR)
            continue
        match reply:
            case Accepted():
                is_accepted = True
            case Waiting():
                output.note(f"waiting for the end of {reply.behind}")
                output.line({"type": "status", "phase": "waiting", "behind": reply.behind})
            case Ended():
                return reply
            case None if is_accepted:
                raise _GONE
            case None:
                return None


def _receive(channel: socket.socket) -> Reply | None:
    """None at the end. Peeked until it is whole, so that a Ctrl-C in between loses nothing."""
    prefix = _whole(channel, PREFIX.size)
    if prefix is None:
        return None
    frame = _whole(channel, PREFIX.size + frame_length(prefix))
    if frame is None:
        return None
    channel.recv(len(frame), socket.MSG_WAITALL)
    reply: Reply = decode_message(frame[PREFIX.size :], Reply)  # type: ignore[arg-type]
    return reply


def _whole(channel: socket.socket, length: int) -> bytes | None:
    try:
        data = channel.recv(length, socket.MSG_PEEK | socket.MSG_WAITALL)
    except ConnectionResetError:
        return None
    return data if len(data) == length else None
