"""Connections over Trio and TLS: this file and `tls` are the only ones of this package that know either.

Threads: the event loop's only. Per connection one task writes and one reads; each request to a server has its own task.
A write that is cancelled ends the connection after what was sealed before; one that fails, when what came is read.
"""

import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import trio

from protocol import limits
from protocol.byte_budget import ByteBudget
from protocol.call import Call as Call
from protocol.channel import Channel
from protocol.connection import ClientConnection, Connection, ServerConnection
from protocol.errors import ConnectionClosed, ConnectionLost
from protocol.exchange import Exchange as Exchange
from protocol.exchange import Handler
from protocol.exchange import PeerIdentity as PeerIdentity
from protocol.tls import Tls

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the application judges the time, a wrong clock must not lock out
_SUITES_1_2 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_ENDINGS = (ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError, OSError)


def server_tls_context(
    cert_file: str, key_file: str, client_ca_pem: str, *, minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """A server that asks for a client certificate of its site's authority and lets people in without one."""
    context = _tls_context(ssl.PROTOCOL_TLS_SERVER)
    if minimum is ssl.TLSVersion.TLSv1_2:
        context.minimum_version = minimum
        context.set_ciphers(_SUITES_1_2)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(cadata=client_ca_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would outlive the removal of an identity
    return context


def client_tls_context(ca_pem: str, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """A client that trusts this authority alone and checks the server's name."""
    context = _tls_context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca_pem)
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    return context


def _tls_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= _NO_CHECK_TIME
    context.set_alpn_protocols(["h2"])
    set_suites = getattr(context, "set_ciphersuites", None)  # Python 3.15 and later
    if set_suites is not None:
        set_suites(_SUITES)
    return context


class _Pulse:
    def __init__(self) -> None:
        self._event = trio.Event()

    def beat(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self, timeout_seconds: float) -> bool:
        with trio.move_on_after(timeout_seconds) as scope:
            await self._event.wait()
        return not scope.cancelled_caught


@cache
def _send_buffer_bytes_max() -> int:
    """The most that this system lets a program ask for; 0 where it does not say."""
    try:
        return int(Path("/proc/sys/net/core/wmem_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


class _Driver:
    """Moves the bytes of one connection: one task writes, one reads; ends both together."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self._stream = stream
        if _send_buffer_bytes_max() >= limits.SEND_BUFFER_BYTES:  # else the kernel's own growth goes further
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER_BYTES)
        self.tls = Tls(stream, context, server_name)
        self.nursery: trio.Nursery | None = None
        self._stopped = False
        self._output = trio.Event()
        self._is_broken = False

    def wake(self) -> None:
        self._output.set()

    def stop(self) -> None:
        self._stopped = True
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def new_pulse(self) -> _Pulse:
        return _Pulse()

    def now_seconds(self) -> float:
        return trio.current_time()

    async def shake_hands(self) -> None:
        """Raises ConnectionLost; the stream is closed then."""
        try:
            with trio.fail_after(limits.HANDSHAKE_SECONDS):
                await self.tls.handshake()
        except (*_ENDINGS, trio.TooSlowError, ConnectionClosed) as error:
            await trio.aclose_forcefully(self._stream)
            raise ConnectionLost(f"the TLS handshake failed: {_why(error)}", _hint(error)) from error
        except BaseException:
            await trio.aclose_forcefully(self._stream)
            raise

    async def run(self, connection: Connection) -> None:
        """Until the connection ends, for whatever reason of the peer's or the network's; `failure` says which."""
        try:
            async with trio.open_nursery() as nursery:
                self.nursery = nursery
                if not self._stopped:
                    nursery.start_soon(self._guarded, connection, self._write)
                    await self._guarded(connection, self._read)
        finally:
            connection.abort(ConnectionClosed("the connection was closed"))
            await self._close(connection)

    async def _guarded(self, connection: Connection, work: Callable[[Connection], Awaitable[None]]) -> None:
        try:
            await work(connection)
        except ConnectionLost as lost:
            connection.abort(lost)
        except trio.TooSlowError:
            connection.abort(ConnectionLost(f"the other side read nothing for {limits.WRITE_SECONDS} seconds"))
        except _ENDINGS as error:
            connection.abort(ConnectionLost(f"the connection ended: {_why(error)}"))

    async def _read(self, connection: Connection) -> None:
        while True:
            with trio.move_on_at(connection.deadline()) as scope:
                await self.tls.fill()
            if scope.cancelled_caught:
                connection.on_silence()
                continue
            connection.on_received()
            while data := self.tls.read():
                connection.receive(data)
            self.wake()

    async def _write(self, connection: Connection) -> None:
        while True:
            self._output = trio.Event()
            pieces = connection.http2.data_to_send(limits.WRITE_BYTES)
            if not pieces and not self.tls.wants_flush:
                await self._output.wait()
                continue
            self.tls.seal(pieces)
            await self._flush()
            connection.on_written()

    async def _flush(self) -> None:
        try:
            await self.tls.flush()
        except OSError:
            self._is_broken = True
            with trio.move_on_after(limits.CLOSE_SECONDS):
                await trio.sleep_forever()  # the reader cancels this at its end: what is here may say why
            raise
        except trio.TooSlowError:
            self._is_broken = True
            raise

    async def _close(self, connection: Connection) -> None:
        self.tls.stop_reading()
        if not self._is_broken:
            with trio.move_on_after(limits.CLOSE_SECONDS, shield=True), suppress(*_ENDINGS, ConnectionLost):
                connection.http2.close()
                self.tls.seal(connection.http2.data_to_send(0))
                await self.tls.flush()
        await trio.aclose_forcefully(self._stream)


def system_text(error: OSError) -> str:
    """What the system says, without the number and the address that some libraries put into it."""
    has_number = (error.errno or 0) > 0 and not isinstance(error, ssl.SSLError)
    return os.strerror(error.errno or 0) if has_number else str(error.strerror or error)


def _why(error: BaseException) -> str:
    if isinstance(error, trio.BrokenResourceError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return system_text(error)
    return (getattr(error, "verify_message", "") or str(error) or type(error).__name__).rstrip(".")


def _hint(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server is not the one whose authority (CA) is known here, or it has another name"
    return ""


class ServerTransport:
    """One accepted connection, from its handshake to its end. Its Exchanges hold the ServerConnection."""

    def __init__(self, budget: ByteBudget | None = None) -> None:
        self._budget = budget or ByteBudget()

    async def serve(self, stream: trio.SocketStream, context: ssl.SSLContext, handler: Handler) -> None:
        """Each request runs in a task of its own. Raises ConnectionLost unless the connection ended in order.

        What `handler` raises beside errors of the conversation ends the connection and comes out of here.
        """
        driver = _Driver(stream, context)

        def start(exchange: Exchange, channel: Channel) -> None:
            assert driver.nursery is not None
            driver.nursery.start_soon(_handle, exchange, channel, handler)

        await driver.shake_hands()
        connection = ServerConnection(driver, self._budget, start)
        connection.peer = PeerIdentity(driver.tls.peer_certificate, _address(stream))
        await driver.run(connection)
        if connection.failure is not None and not isinstance(connection.failure, ConnectionClosed):
            raise connection.failure


async def _handle(exchange: Exchange, channel: Channel, handler: Handler) -> None:
    """A reset of the stream, or its failure, cancels the handler: nobody is there for the answer."""
    with trio.CancelScope() as scope:
        channel.on_gone = scope.cancel
        try:
            if not channel.is_gone:
                await exchange.run(handler)
        finally:
            exchange.end_turn()
            channel.close()


def _address(stream: trio.SocketStream) -> str:
    name = stream.socket.getpeername()
    return str(name[0]) if isinstance(name, tuple) else ""


class ClientTransport(ClientConnection):
    """`async with` closes the connection; its tasks run in the nursery given to `open_connection`."""

    async def __aenter__(self) -> "ClientTransport":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.abort(ConnectionClosed("the connection was closed here"))


async def open_connection(host: str, port: int, context: ssl.SSLContext, nursery: trio.Nursery) -> ClientTransport:
    """Connects, checks the server's certificate and name, and keeps the connection going in `nursery`."""
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        hint = "check the address, and that the vault is up"
        raise ConnectionLost(f"{host} port {port} cannot be reached: {_why(error)}", hint) from error
    return await connect_over(stream, context, f"{host}:{port}", nursery)


async def connect_over(
    stream: trio.SocketStream, context: ssl.SSLContext, authority: str, nursery: trio.Nursery
) -> ClientTransport:
    """The same over a stream that is there already; `authority` is HOST:PORT."""
    driver = _Driver(stream, context, server_name=authority.rpartition(":")[0])
    await driver.shake_hands()
    transport = ClientTransport(driver, authority)
    nursery.start_soon(driver.run, transport)
    return transport
