"""Accepts connections, within limits, and ends them in order when the vault stops.

Invariant: one connection's failure ends that connection and nothing else.
"""

import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ssl import SSLContext

import trio

from protocol.byte_budget import ByteBudget
from protocol.errors import ConnectionLost
from protocol.transport import Exchange, ServerTransport, system_text
from vaultd import metrics
from vaultd.config import Config
from vaultd.errors import Conflict
from vaultd.logs import log
from vaultd.server import dispatch
from vaultd.server.service import Service
from vaultd.server.session import Session

_HINTS = {
    errno.EADDRINUSE: "another program has this port; stop it, or change `listen` in vault.toml",
    errno.EACCES: "ports below 1024 need more rights; change `listen` in vault.toml",
}


class Listener:
    """First `open`, then `serve`: that one ends after `stop`, when the running requests did or ran out of time."""

    def __init__(self, service: Service, config: Config, context: SSLContext) -> None:
        self._service = service
        self._config = config
        self._context = context
        self._transport = ServerTransport(ByteBudget(config.receive_budget_bytes))
        self._listeners: list[trio.SocketListener] = []
        self._accepting = trio.CancelScope()
        self._networks: Counter[str] = Counter()
        self._requests = 0
        self._drained = trio.Event()

    async def open(self) -> int:
        """Binds the address and returns the port; connections wait until `serve`."""
        host, port = self._config.host, self._config.port
        try:
            self._listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as problem:
            raise Conflict(
                f"{self._config.listen} cannot be listened on: {system_text(problem)}",
                _HINTS.get(problem.errno or 0, "`listen` in vault.toml names an address of this machine and a port"),
            ) from None
        bound_port: int = self._listeners[0].socket.getsockname()[1]
        return bound_port

    async def serve(self) -> None:
        async with trio.open_nursery() as connections:
            with self._accepting:
                await trio.serve_listeners(self._connection, self._listeners, handler_nursery=connections)
            with trio.move_on_after(self._config.stop_seconds):
                await self._wait_drained()
            connections.cancel_scope.cancel()

    def stop(self) -> None:
        """Takes no more connections and no more requests; what runs may end."""
        self._accepting.cancel()
        self._service.work.close()
        for session in self._service.sessions:
            session.close()

    async def _wait_drained(self) -> None:
        if self._requests:
            await self._drained.wait()

    async def _connection(self, stream: trio.SocketStream) -> None:
        address = _address(stream)
        session = Session(address)
        if self._is_full(session.network):
            metrics.CONNECTIONS_REFUSED.inc()
            await trio.aclose_forcefully(stream)
            return
        try:
            with self._counted(session):
                await self._transport.serve(stream, self._context, partial(self._request, session))
        except ConnectionLost as lost:
            log.info("connection lost", address=address, problem=lost.message)
        except Exception as error:
            log.error("connection failed", address=address, problem=f"{type(error).__name__}: {error}")

    async def _request(self, session: Session, exchange: Exchange) -> None:
        self._requests += 1
        try:
            await dispatch.answer(self._service, session, exchange)
        finally:
            self._requests -= 1
            if not self._requests and self._accepting.cancel_called:
                self._drained.set()

    def _is_full(self, network: str) -> bool:
        """Who has not signed in has a smaller room, and keeps nobody out who has; hello asks for the other."""
        room = self._config.connections_not_signed_in_max
        return (
            self._networks[network] >= self._config.connections_per_address_max
            or self._service.count_strangers() >= room
            or self._service.count_strangers(network) >= max(1, room // 4)
        )

    @contextmanager
    def _counted(self, session: Session) -> Iterator[None]:
        self._service.sessions.add(session)
        self._networks[session.network] += 1
        metrics.CONNECTIONS.set(len(self._service.sessions))
        try:
            yield
        finally:
            self._service.sessions.discard(session)
            self._service.progress.forget_connection(session)
            self._service.restores.forget_connection(session)
            self._service.work.forget_connection(session)
            self._networks -= Counter([session.network])
            metrics.CONNECTIONS.set(len(self._service.sessions))


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # gone before it was looked at
        return ""
