"""How an agent comes to a session with its vault."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.tools.agent.conftest import Site
from tools.agent.vault import connection
from tools.agent.vault.connection import ask_vault
from tools.client.session import VaultSession

# Nothing here takes that long, unless one of the two waits for the other.
WAIT_SECONDS = 10.0


def test_what_is_done_meanwhile_goes_on_beside_the_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, done = threading.Event(), threading.Event()

    @asynccontextmanager
    async def connect(*_: object, **__: object) -> AsyncIterator[VaultSession]:
        begun.set()
        assert await trio.to_thread.run_sync(done.wait, WAIT_SECONDS), "the connection came first"
        yield site.vault  # type: ignore[misc]

    def meanwhile() -> None:
        assert begun.wait(WAIT_SECONDS), "the connection came after it"
        done.set()

    async def talk(session: VaultSession) -> str:
        await trio.lowlevel.checkpoint()
        return "answer"

    monkeypatch.setattr(connection, "connect", connect)
    assert ask_vault(site.state, site.state.load_identity(), talk, meanwhile=meanwhile) == "answer"
