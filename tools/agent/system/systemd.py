"""What the service manager is told: ready, stopping. Without one, nothing happens."""

import os
import socket


def notify(message: str) -> None:
    """Sends one line (`READY=1`, `STOPPING=1`) to the socket that the service manager named."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.sendto(message.encode(), address)
        except OSError:
            return  # the manager may be restarting, and no backup fails for it
