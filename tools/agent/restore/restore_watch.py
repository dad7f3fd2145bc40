"""Whoever follows a restore from elsewhere: how far it is, and what came of it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import trio

from protocol.errors import RemoteProtocolError
from protocol.messages import RestoreProgressAnswer, RestoreProgressRequest
from tools.agent.restore.restore import Restored
from tools.client.progress import Figures
from tools.client.session import VaultSession

REPORT_SECONDS = 1.0


class RestoreWatch:
    """`is_open`: the password opened the safeset. `restored` is None until something was restored to its end.
    `waiting` is told of another restore that works in the target; None where nobody wants to wait. Nobody elsewhere
    hears of it.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.figures = Figures("restoring")
        self.restored: Restored | None = None
        self.waiting: Callable[[str], None] | None = None

    @asynccontextmanager
    async def reporting(self, session: VaultSession) -> AsyncGenerator[None]:
        """While it lasts."""
        yield


class OrderWatch(RestoreWatch):
    """An administrator, through the vault: who ordered it does not stand beside it, so it waits for its turn."""

    def __init__(self, order_id: bytes, waiting: Callable[[str], None]) -> None:
        super().__init__()
        self._order_id = order_id
        self.waiting = waiting

    @asynccontextmanager
    async def reporting(self, session: VaultSession) -> AsyncGenerator[None]:
        self.is_open = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report, session)
            yield
            nursery.cancel_scope.cancel()

    async def _report(self, session: VaultSession) -> None:
        """No answer to it ends the restore."""
        while True:
            figures = self.figures
            told = RestoreProgressRequest(self._order_id, figures.files, figures.bytes, figures.bytes_total)
            with suppress(RemoteProtocolError):
                await session.ask("restore.progress", told, RestoreProgressAnswer)
            await trio.sleep(REPORT_SECONDS)


UNWATCHED = RestoreWatch()
