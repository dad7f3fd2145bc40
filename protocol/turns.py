"""Requests that are taken in the order of asking although they are asked at once: what each of them waits for.

A client may send them without the answer to the one before, and so without its round trip. Runtime-free. Bounded: of
each method that others follow only the newest request of a connection is known.
"""

from collections.abc import Callable

from protocol.errors import RemoteProtocolError
from protocol.link import Pulse
from protocol.methods import FOLLOWS

HELLO = "hello"
_FOLLOWED = {HELLO, *FOLLOWS.values()}


class Turn:
    """One request that others may follow: whether it is over, and the error that it was answered with."""

    def __init__(self, pulse: Pulse) -> None:
        self.error: RemoteProtocolError | None = None
        self.is_over = False
        self._pulse = pulse

    def end(self) -> None:
        self.is_over = True
        self._pulse.beat()

    async def wait(self) -> None:
        while not self.is_over:
            await self._pulse.wait(float("inf"))


class Place:
    """Where a request stands in its connection: behind `hello`, and behind the one that its method follows."""

    def __init__(self, own: Turn, hello: Turn | None, followed: Turn | None) -> None:
        self.own = own
        self._hello = hello
        self._followed = followed

    async def wait_for_hello(self) -> None:
        """After one that was refused the connection says itself what may be asked."""
        if self._hello is not None:
            await self._hello.wait()

    async def wait(self) -> None:
        """Until what stands before it is over. Raises the error of the one that it follows, for it was meant to come
        after that one.
        """
        await self.wait_for_hello()
        if self._followed is not None:
            await self._followed.wait()
            if self._followed.error is not None:
                raise self._followed.error


class Turns:
    """Of one connection."""

    def __init__(self, new_pulse: Callable[[], Pulse]) -> None:
        self._new_pulse = new_pulse
        self._newest: dict[str, Turn] = {}

    def enter(self, method: str) -> Place:
        """In the order in which the requests arrive. A request that came when the one before was over waits for nothing
        and is told nothing of it.
        """
        hello, followed = self._under_way(HELLO), self._under_way(FOLLOWS.get(method, ""))
        own = Turn(self._new_pulse())
        if method in _FOLLOWED:
            self._newest[method] = own
        return Place(own, hello, followed)

    def _under_way(self, method: str) -> Turn | None:
        turn = self._newest.get(method)
        return None if turn is None or turn.is_over else turn
