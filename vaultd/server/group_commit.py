"""One durable commit for the records of all uploads that are waiting.

Invariants: a ticket is durable only when a commit that began after its append has succeeded. The first commit that
fails is the last: everyone who waits, and everyone who comes later, gets the error, and nothing is answered as durable.

Threads: `_append` and `_commit` run in the write thread, which does one thing at a time; the rest in the event loop.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from vaultd import metrics, offload
from vaultd.errors import NoSpace, Unavailable

# An upload that never pauses and never fills a group still gets its answer.
WAIT_SECONDS_MAX = 1.0


# Runs a function in the write thread.
Write = Callable[[Callable[[], int]], Awaitable[int]]


class GroupCommit:
    def __init__(
        self, commit: Callable[[], object], group_bytes: int, pause_seconds: float, write: Write = offload.write
    ) -> None:
        self._commit_store = commit
        self._write = write
        self._group_bytes = group_bytes
        self._pause_seconds = pause_seconds
        self._appended = 0
        self._durable = 0
        self._waiting_bytes = 0
        self._error: BaseException | None = None
        self._activity = trio.Event()
        self._hurry = False
        self._finished = trio.Event()

    async def append(self, store: Callable[[], object], size_bytes: int) -> int:
        """Runs `store` in the write thread and returns its ticket for `wait_durable`."""
        self.refuse_after_error()
        ticket = await self._write(partial(self._append, store))
        self._waiting_bytes += size_bytes
        self._wake()
        return ticket

    async def wait_durable(self, ticket: int) -> None:
        while self._durable < ticket:
            self.refuse_after_error()
            await self._finished.wait()

    def hurry(self) -> None:
        """Somebody has sent all he has: what is waiting is committed without a pause."""
        self._hurry = True
        self._wake()

    async def flush(self) -> None:
        """Everything that was appended is durable when this returns."""
        self.hurry()
        await self.wait_durable(self._appended)

    async def run(self) -> None:
        """Commits until cancelled, or until a commit fails: then it raises that error."""
        while True:
            await self._wait_for_group()
            self._waiting_bytes = 0
            self._hurry = False
            try:
                with metrics.GROUP_COMMIT_SECONDS.time():
                    await self._write(self._commit)
            except Exception as error:
                self._error = error
                raise
            finally:
                self._finished.set()
                self._finished = trio.Event()

    def _append(self, store: Callable[[], object]) -> int:
        store()
        self._appended += 1
        return self._appended

    def _commit(self) -> int:
        covered = self._appended
        self._commit_store()
        self._durable = covered
        return covered

    async def _wait_for_group(self) -> None:
        while self._durable == self._appended:
            self._hurry = False
            await self._wait_activity()
        with trio.move_on_after(WAIT_SECONDS_MAX):
            while self._waiting_bytes < self._group_bytes and not self._hurry:
                with trio.move_on_after(self._pause_seconds) as pause:
                    await self._wait_activity()
                if pause.cancelled_caught:
                    return

    async def _wait_activity(self) -> None:
        await self._activity.wait()
        self._activity = trio.Event()

    def _wake(self) -> None:
        self._activity.set()

    def refuse_after_error(self) -> None:
        """Raises what everybody is told who comes after a commit that failed: NoSpace or Unavailable."""
        if isinstance(self._error, NoSpace):
            raise NoSpace(self._error.message, self._error.hint) from self._error
        if self._error is not None:
            raise Unavailable(
                "the store stopped after an error; what was not acknowledged is not stored",
                "the daemon recovers when it starts again; then send it again",
            ) from self._error
