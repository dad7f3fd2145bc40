"""An agent with a safeset, and orders to restore it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.tools.agent.conftest import Site
from tests.tools.agent.service.ordered import Ordered
from tools.agent.vault import connection


@pytest.fixture
def ordered(site: Site, monkeypatch: pytest.MonkeyPatch) -> Ordered:
    (site.source / "file").write_bytes(os.urandom(100_000))
    trio.run(site.back_up)

    @asynccontextmanager
    async def connect(_endpoint: object, _program: str, **_: object) -> AsyncIterator[Any]:
        yield site.vault

    monkeypatch.setattr(connection, "connect", connect)
    return Ordered(site)
