"""The socket `service.sock` in the state directory: made for its owner alone, and who is at the other end.

The directory may lie deeper than the 107 bytes that an address holds, so it is reached through its descriptor.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

NAME = "service.sock"
_CREDENTIALS = struct.Struct("3i")


def listen(state: Path) -> socket.socket:
    """The caller holds the lock of the state: what lies there is left over of a service that is gone."""
    (state / NAME).unlink(missing_ok=True)
    listener = _new_socket()
    try:
        # The file gets this mode at once, whatever the umask is.
        os.fchmod(listener.fileno(), 0o600)
        with _address(state) as address:
            listener.bind(address)
        listener.listen(16)
    except BaseException:
        listener.close()
        raise
    return listener


def unlink(state: Path) -> None:
    (state / NAME).unlink(missing_ok=True)


def dial(state: Path) -> socket.socket | None:
    """A connection to the service; None where there is none, which a file without a listener is too."""
    channel = _new_socket()
    try:
        with _address(state) as address:
            channel.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        channel.close()
        return None
    except BaseException:
        channel.close()
        raise
    return channel


class _Channel(Protocol):
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def peer_user(channel: _Channel) -> int:
    """Whose process the other end is, as the kernel knows it."""
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return int(user)


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


@contextmanager
def _address(state: Path) -> Iterator[str]:
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{NAME}"
    finally:
        os.close(directory)
