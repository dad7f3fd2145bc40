"""Who works when: one backup after another, one restore after another, a restore beside a backup.

Invariants: of one state directory one child at most backs up; what was cancelled before its turn starts no process.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from tools.agent.local.orders import AskedOrder, AskedRestore, BackupOrder, Ended, RestoreOrder, Work
from tools.agent.service.worker import Streams, run_child
from tools.agent.state import StateDirectory
from tools.client.failure import INTERRUPTED, Failure

Tell = Callable[[str], Awaitable[None]]
Run = Callable[[Work, int, Streams, trio.Event], Awaitable[int]]


@dataclass(eq=False, slots=True)
class Piece:
    """One order on its way. `streams` are those of whoever gave it."""

    order: BackupOrder | RestoreOrder | AskedOrder | AskedRestore
    streams: Streams = field(default_factory=Streams)
    cancelled: trio.Event = field(default_factory=trio.Event)
    has_begun: bool = False

    @property
    def text(self) -> str:
        match self.order:
            case BackupOrder():
                return f"the backup of {self.order.job}"
            case RestoreOrder():
                return f"the restore of {self.order.job}"
            case AskedRestore():
                return "a restore that the vault was asked for"
        return "a backup that the vault was asked for"


@dataclass(slots=True)
class _Lane:
    """Pieces in the order in which they came; the first one has the turn."""

    turn: trio.Lock = field(default_factory=trio.Lock)
    pieces: list[Piece] = field(default_factory=list)


class Workbench:
    def __init__(self, state: StateDirectory, lock: int, run: Run = run_child) -> None:
        """`lock` is the descriptor that holds the state's lock."""
        self.is_closed = False
        self._state = state
        self._lock = lock
        self._run = run
        self._backups, self._restores = _Lane(), _Lane()

    async def carry_out(self, piece: Piece, tell_waiting: Tell) -> Ended:
        """In its turn. `tell_waiting` hears whose end it waits for."""
        lane = self._restores if isinstance(piece.order, RestoreOrder | AskedRestore) else self._backups
        if self.is_closed:
            return _interrupted()
        behind = lane.pieces[-1:]
        lane.pieces.append(piece)
        try:
            if behind:
                await tell_waiting(behind[0].text)
            if not await _wait_turn(lane.turn, piece):
                return _interrupted()
            try:
                return await self._carry_out_now(piece)
            finally:
                lane.turn.release()
        finally:
            lane.pieces.remove(piece)

    def cancel_job(self, job_id: bytes) -> bool:
        """The backup of the job that goes on, whoever began it, and what waits because the vault was asked. Whether
        there was one that nobody had cancelled yet.
        """
        found = [piece for piece in self._backups.pieces if self._is_cancelled_with(piece, job_id)]
        for piece in found:
            piece.cancelled.set()
        return bool(found)

    def _is_cancelled_with(self, piece: Piece, job_id: bytes) -> bool:
        is_there = isinstance(piece.order, AskedOrder) or piece.has_begun
        return is_there and not piece.cancelled.is_set() and self._job_id(piece) == job_id

    def cancel_restore(self, order_id: bytes) -> None:
        """Begun or not."""
        for piece in self._restores.pieces:
            if isinstance(piece.order, AskedRestore) and piece.order.order_id == order_id:
                piece.cancelled.set()

    def has_restore(self, order_id: bytes) -> bool:
        return any(
            isinstance(piece.order, AskedRestore) and piece.order.order_id == order_id
            for piece in self._restores.pieces
        )

    def is_waiting(self, job_id: bytes) -> bool:
        """Whether a run of it, which the vault was asked for, will look again at what is asked for."""
        return any(
            isinstance(piece.order, AskedOrder)
            and piece.order.job_id == job_id
            and not (piece.has_begun or piece.cancelled.is_set())
            for piece in self._backups.pieces
        )

    def close(self) -> None:
        """Ends all that goes on, in order, and takes nothing more."""
        self.is_closed = True
        for piece in self._backups.pieces + self._restores.pieces:
            piece.cancelled.set()

    def _job_id(self, piece: Piece) -> bytes | None:
        """Of a backup."""
        if isinstance(piece.order, AskedOrder):
            return piece.order.job_id
        return self._state.known_job_id(piece.order.job) if isinstance(piece.order, BackupOrder) else None

    async def _carry_out_now(self, piece: Piece) -> Ended:
        if piece.cancelled.is_set():
            return _interrupted()
        piece.has_begun = True
        work = Work(state=os.fsencode(self._state.path), order=piece.order)
        try:
            code = await self._run(work, self._lock, piece.streams, piece.cancelled)
        except OSError as error:
            return _failed(f"no process could be started: {error.strerror}", "is memory or room for processes short?")
        if code >= 0:
            return Ended(exit_code=code)
        if piece.cancelled.is_set():
            return _interrupted()
        return _failed(f"its process was ended by signal {-code}", "was memory short? run it again")


async def _wait_turn(turn: trio.Lock, piece: Piece) -> bool:
    """False where it was cancelled before."""

    async def give_up(scope: trio.CancelScope) -> None:
        await piece.cancelled.wait()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up, nursery.cancel_scope)
        await turn.acquire()
        nursery.cancel_scope.cancel()
    return turn.statistics().owner is trio.lowlevel.current_task()


def _interrupted() -> Ended:
    return _ended(Failure(INTERRUPTED, "interrupted"))


def _failed(message: str, hint: str) -> Ended:
    return _ended(Failure("failed", message, hint))


def _ended(failure: Failure) -> Ended:
    return Ended(exit_code=failure.exit_code, code=failure.code, message=failure.message, hint=failure.hint)
