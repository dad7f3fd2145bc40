"""One budget for the whole process: what was read for restores and large answers and is not on its way yet.

Invariants: what rooms have together stays within the budget, and a record is read only by who has room for it. An
account has its part of the budget, or one room; of those who wait, the account that has least goes first. A room that
is as old as FRAME_SECONDS while others wait is given up: its request ends, and with it what it holds.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from protocol.errors import ConnectionLost
from protocol.limits import FETCH_BUDGET_BYTES, FRAME_SECONDS


class Room:
    """What one request may hold now. Make it with `FetchBudget.room`."""

    def __init__(self, budget: "FetchBudget", account: bytes, size_bytes: int) -> None:
        self.account = account
        self.size_bytes = size_bytes
        self.since_seconds = 0.0
        self.scope = trio.CancelScope()
        self.admitted = trio.Event()
        self._budget = budget

    def shrink(self, size_bytes: int) -> None:
        """So many bytes were read; the rest is for others."""
        self._budget.shrink(self, size_bytes)


class FetchBudget:
    def __init__(self, total_bytes: int = FETCH_BUDGET_BYTES) -> None:
        self._total_bytes = total_bytes
        self._rooms: set[Room] = set()
        self._waiting: list[Room] = []
        self._held: Counter[bytes] = Counter()  # bytes of an account's rooms

    @property
    def held_bytes(self) -> int:
        return self._held.total()

    @asynccontextmanager
    async def room(self, account: bytes, size_bytes: int) -> AsyncIterator[Room]:
        """Waits for its turn. Raises ConnectionLost where it was given up."""
        room = Room(self, account, size_bytes)
        self._waiting.append(room)
        self._admit()
        try:
            await self._wait(room)
            with room.scope:
                yield room
        finally:
            self._leave(room)
        if room.scope.cancelled_caught:
            raise ConnectionLost(f"records were not taken in {FRAME_SECONDS} seconds while others waited")

    def shrink(self, room: Room, size_bytes: int) -> None:
        self._held[room.account] -= room.size_bytes - size_bytes
        room.size_bytes = size_bytes
        self._admit()

    async def _wait(self, room: Room) -> None:
        while not room.admitted.is_set():
            with trio.move_on_after(FRAME_SECONDS) as scope:
                await room.admitted.wait()
            if scope.cancelled_caught:
                self._give_up_slow()

    def _give_up_slow(self) -> None:
        for room in self._rooms:
            if trio.current_time() - room.since_seconds >= FRAME_SECONDS:
                room.scope.cancel()

    def _leave(self, room: Room) -> None:
        if room in self._rooms:
            self._rooms.remove(room)
            self._held[room.account] -= room.size_bytes
            if not self._held[room.account]:
                del self._held[room.account]
        else:
            self._waiting.remove(room)
        self._admit()

    def _admit(self) -> None:
        while fitting := [room for room in self._waiting if self._fits(room)]:
            room = min(fitting, key=lambda one: self._held[one.account])
            self._waiting.remove(room)
            self._rooms.add(room)
            self._held[room.account] += room.size_bytes
            room.since_seconds = trio.current_time()
            room.admitted.set()

    def _fits(self, room: Room) -> bool:
        own, all_ = self._held[room.account], self.held_bytes
        accounts = len({one.account for one in (*self._rooms, *self._waiting)})
        if all_ + room.size_bytes > self._total_bytes:
            return False
        return not own or own + room.size_bytes <= self._total_bytes // accounts
