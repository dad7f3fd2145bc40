"""A real vault behind a real listener, in this process; time is the real one, and nothing waits for it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from protocol.messages import HelloAnswer, HelloRequest
from protocol.transport import ClientTransport, client_tls_context, open_connection, server_tls_context
from vaultd.clock import SystemClock
from vaultd.config import config_text, make_config
from vaultd.operations import ledger
from vaultd.operations.init import Initialised, InitRequest, init_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.server.group_commit import GroupCommit
from vaultd.server.listener import Listener
from vaultd.server.service import Service
from vaultd.store.disk_door import SystemDoor

HOST = "127.0.0.1"


@dataclass
class Running:
    """What a test may reach: the service inside, and connections from outside."""

    service: Service
    listener: Listener
    port: int
    created: Initialised
    nursery: trio.Nursery
    directory: Path

    @property
    def client_context(self) -> ssl.SSLContext:
        return client_tls_context(self.created.authority_pem)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ClientTransport]:
        async with await open_connection(HOST, self.port, self.client_context, self.nursery) as connection:
            yield connection

    @asynccontextmanager
    async def connect_operator(self) -> AsyncIterator[ClientTransport]:
        async with self.connect() as connection:
            await say_hello(connection, self.created.operator_token)
            yield connection


async def say_hello(connection: ClientTransport, token: bytes | None = None) -> HelloAnswer:
    answer, _ = await connection.ask("hello", HelloRequest([2, 1], "test", "0", token), HelloAnswer)
    return answer


@pytest.fixture
async def running(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Running]:
    values = {"listen": f"{HOST}:0", "disks": ["disk-1"], "connections_per_address_max": 4}
    config = make_config(tmp_path / "vault", values)
    created = init_vault(InitRequest(config, config_text(values), [HOST]), SystemClock(), SystemDoor())
    vault = open_vault(config, SystemClock(), SystemDoor())
    group = GroupCommit(partial(ledger.write, vault), config.group_commit_bytes, config.group_commit_seconds)
    service = Service(vault, group)
    keys = [str(config.directory / name) for name in ("server.pem", "server.key")]
    listener = Listener(service, config, server_tls_context(*keys, created.authority_pem))
    port = await listener.open()
    nursery.start_soon(group.run)
    nursery.start_soon(listener.serve)
    yield Running(service, listener, port, created, nursery, config.directory)
    nursery.cancel_scope.cancel()
    close_vault(vault)
