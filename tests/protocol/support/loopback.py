"""A server and clients over TLS on this machine."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from protocol import messages as m
from protocol.byte_budget import ByteBudget
from protocol.errors import ConnectionLost
from protocol.exchange import Exchange, Handler
from protocol.transport import (
    ClientTransport,
    ServerTransport,
    client_tls_context,
    open_connection,
    server_tls_context,
)
from tests.protocol.support.certificates import Site

ACCOUNT = b"a" * 16
HELLO = m.HelloRequest([1], "test", "1")
GREETING = m.HelloAnswer(1, b"v" * 16, "vault", "Here", 7, "agent")


class Server:
    """Listens while its context lasts; `losses` are the reasons of connections that did not end in order."""

    def __init__(
        self,
        site: Site,
        handler: Handler,
        budget: ByteBudget | None = None,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self._site = site
        self._handler = handler
        self._budget = budget
        self._minimum = minimum
        self.port = 0
        self.losses: list[ConnectionLost] = []
        self.ended = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        files = self._site.server_cert, self._site.server_key
        context = server_tls_context(*files, self._site.ca_pem, minimum=self._minimum)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]

        async def serve(stream: trio.SocketStream) -> None:
            try:
                await ServerTransport(self._budget).serve(stream, context, self._handler)
            except ConnectionLost as lost:
                self.losses.append(lost)
            finally:
                self.ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            yield self
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(site: Site, port: int, *, agent: bool = False) -> AsyncIterator[ClientTransport]:
    pair = (site.agent_cert, site.agent_key) if agent else (None, None)
    async with trio.open_nursery() as nursery:
        context = client_tls_context(site.ca_pem, *pair)
        async with await open_connection("127.0.0.1", port, context, nursery) as transport:
            yield transport


async def greet(exchange: Exchange) -> None:
    """Hello, as a server that takes everybody for the agent of one account."""
    await exchange.receive_frame()
    exchange.connection.signed_in(ACCOUNT)
    await exchange.send_message(GREETING)


async def say_hello(transport: ClientTransport) -> None:
    await transport.ask("hello", HELLO, m.HelloAnswer)
