"""A process that was forked when its program began, before that had a thread: it does what the program hands over to
processes of their own (tools/agent/system/apart.py), without the start of a Python for each.

Where it matters that nothing of it stays in a memory, programs are not forked at all.
"""

import os
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from tools.agent.keys import adopt, first_keyring
from tools.agent.system import apart
from tools.client.failure import Failure

_LENGTH = struct.Struct("<I")


def lend_process() -> None:
    """To this process, which has one thread still. The lent one ends with it."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _serve(theirs)
    theirs.close()

    def call_lent(function: Callable[..., Any], *arguments: Any) -> Any:
        _send(ours, (function, arguments))
        failed, answer = _receive(ours)
        if failed is not None:
            raise Failure(*failed)
        return answer

    for module in (first_keyring, adopt):
        module.call_apart = call_lent  # type: ignore[attr-defined]


def _serve(channel: socket.socket) -> NoReturn:
    try:
        while True:
            _send(channel, apart._answer(*_receive(channel)))
    finally:
        os._exit(0)


def _send(channel: socket.socket, value: object) -> None:
    data = pickle.dumps(value)
    channel.sendall(_LENGTH.pack(len(data)) + data)


def _receive(channel: socket.socket) -> Any:
    return pickle.loads(_exactly(channel, *_LENGTH.unpack(_exactly(channel, _LENGTH.size))))


def _exactly(channel: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = channel.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data
