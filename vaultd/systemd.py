"""What the service manager is told: ready, stopping, still alive. Without one, nothing happens."""

import os
import socket


def notify(message: str) -> None:
    """Sends one line (`READY=1`, `STOPPING=1`, `WATCHDOG=1`) to the socket that the service manager named."""
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
            # The manager may be restarting; it asks again by itself, and a backup must not fail for it.
            return


def watchdog_seconds() -> float | None:
    """Half of the interval in which the service manager wants a sign of life."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isdigit() else None
