"""A bound on the bytes that a pipeline holds: whoever takes waits until enough came back. Trio thread."""

import trio


class ByteBudget:
    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._used_bytes = 0
        self._changed = trio.Condition()

    async def take(self, size_bytes: int) -> None:
        """Something larger than the whole budget goes when nothing else is held."""
        async with self._changed:
            while self._used_bytes and self._used_bytes + size_bytes > self.limit_bytes:
                await self._changed.wait()
            self._used_bytes += size_bytes

    async def give_back(self, size_bytes: int) -> None:
        async with self._changed:
            self._used_bytes -= size_bytes
            self._changed.notify_all()
