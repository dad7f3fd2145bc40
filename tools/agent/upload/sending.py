"""What is on its way to the vault, in the order in which it was handed over. Trio thread."""

import trio


class Sending:
    """Numbers what is sent; whoever needs everything up to a number waits until all of it is durable."""

    def __init__(self) -> None:
        self.begun = 0
        self._under_way: set[int] = set()
        self._changed = trio.Condition()

    def begin(self) -> int:
        number = self.begun
        self.begun += 1
        self._under_way.add(number)
        return number

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
