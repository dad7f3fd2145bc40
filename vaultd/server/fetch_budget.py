"""One budget for the whole process: what was read for restores and large answers and is not on its way yet.

Invariants: what rooms have together stays within the budget, and a record is read only by who has room for it. An
account has its part of the budget, half of it at most, or one room. Of the accounts that are within their part the one
that has least goes first, with its oldest; while that one does not fit, nobody is admitted, so that small rooms never
keep a large one waiting for ever. A room that is as old as FRAME_SECONDS is given up, and its request ends with it,
when its account has more than its part and another waits for its turn.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from protocol.errors import ConnectionLost
from protocol.limits import FETCH_BUDGET_BYTES, FRAME_SECONDS


class GivenUp(ConnectionLost):
    """The answer was not taken while others waited: its stream is reset, with everything that is queued of it."""


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
        self._requests: Counter[bytes] = Counter()  # of an account, with a room or between two

    @property
    def held_bytes(self) -> int:
        return self._held.total()

    @contextmanager
    def request(self, account: bytes) -> Iterator[None]:
        """The account keeps its part while the request goes on, between two rooms too."""
        self._requests[account] += 1
        try:
            yield
        finally:
            self._requests[account] -= 1
            if not self._requests[account]:
                del self._requests[account]
            self._admit()

    @asynccontextmanager
    async def room(self, account: bytes, size_bytes: int) -> AsyncIterator[Room]:
        """In a `request`: waits for its turn. Raises GivenUp where it was given up."""
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
            raise GivenUp(f"records were not taken in {FRAME_SECONDS} seconds while others waited")

    def shrink(self, room: Room, size_bytes: int) -> None:
        self._held[room.account] -= room.size_bytes - size_bytes
        room.size_bytes = size_bytes
        self._admit()

    async def _wait(self, room: Room) -> None:
        while not room.admitted.is_set():
            with trio.move_on_after(FRAME_SECONDS) as scope:
                await room.admitted.wait()
            if scope.cancelled_caught and room in self._turns():
                self._give_up_slow()

    def _give_up_slow(self) -> None:
        for room in self._rooms:
            is_slow = trio.current_time() - room.since_seconds >= FRAME_SECONDS
            if is_slow and self._held[room.account] > self._part_bytes:
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
        while turns := self._turns():
            room = min(turns, key=lambda one: self._held[one.account])
            if self.held_bytes + room.size_bytes > self._total_bytes:
                return
            self._waiting.remove(room)
            self._rooms.add(room)
            self._held[room.account] += room.size_bytes
            room.since_seconds = trio.current_time()
            room.admitted.set()

    def _turns(self) -> list[Room]:
        """Of each account that waits the oldest, where it is within the account's part, or would be all it has."""
        oldest: dict[bytes, Room] = {}
        for room in self._waiting:
            oldest.setdefault(room.account, room)
        return [
            room
            for account, room in oldest.items()
            if not self._held[account] or self._held[account] + room.size_bytes <= self._part_bytes
        ]

    @property
    def _part_bytes(self) -> int:
        return self._total_bytes // max(2, len(self._requests))
