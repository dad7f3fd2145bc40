"""What is on its way to the vault, in the order in which it was handed over. Trio thread."""

import trio


class Sending:
    """Numbers what is sent; whoever needs everything up to a number waits until all of it is durable. Each number ends
    twice: when nothing of it is left to be sent, and when the vault has it.
    """

    def __init__(self) -> None:
        self.begun = 0
        self._unsent: set[int] = set()
        self._under_way: set[int] = set()
        self._changed = trio.Condition()

    def begin(self) -> int:
        number = self.begun
        self.begun += 1
        self._unsent.add(number)
        self._under_way.add(number)
        return number

    async def sent(self, number: int) -> None:
        """All that the vault lacks of it was handed to the connection."""
        async with self._changed:
            self._unsent.remove(number)
            self._changed.notify_all()

    async def all_sent(self) -> None:
        """Returns when all that was begun was handed over."""
        async with self._changed:
            while self._unsent:
                await self._changed.wait()

    async def end(self, number: int) -> None:
        """All of it is durable."""
        async with self._changed:
            self._under_way.remove(number)
            self._changed.notify_all()

    async def durable_before(self, number: int) -> None:
        """Returns when nothing that was begun before this number is under way."""
        async with self._changed:
            while any(other < number for other in self._under_way):
                await self._changed.wait()
