"""A session with a vault: connected, its certificate checked against the pinned authority, `hello` done.

Time is not judged here: a computer with a wrong clock must still back up. Trust is the authority that the context or
the agent's state pins; the very first contact is `first_contact`. Runs in the Trio thread.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio

from protocol.channel import Channel
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.framing import BytesLike
from protocol.messages.session import HelloAnswer, HelloRequest
from protocol.transport import Call, ClientTransport, client_tls_context, open_connection, system_text
from protocol.version import PROTOCOL_VERSIONS, VERSION_IN_TURN
from tools.client.failure import UNREACHABLE, Failure, first_cause
from tools.client.question import Question
from tools.client.version import PROGRAM_VERSION

# A vault that is being restarted is back within this; a longer absence is worth a word to whoever waits.
PAUSES_SECONDS = (0.5, 1.0, 2.0)
ATTEMPT_SECONDS = 15.0
PORT_DEFAULT = 8443

Answer = TypeVar("Answer", bound=msgspec.Struct)
Later = TypeVar("Later", bound=msgspec.Struct)
Dial = Callable[[], Awaitable[ClientTransport]]
Greet = Callable[[], Awaitable[tuple[ClientTransport, HelloAnswer]]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a vault is and who comes: people with a token, an agent with certificate and key, or nobody yet."""

    url: str
    ca_pem: str
    token: bytes | None = field(default=None, repr=False)
    certificate_file: str | None = None
    key_file: str | None = None


class VaultSession:
    """`hello` is what the vault said of itself and of the role that this side has.

    Questions go over the first connection, requests of many frames over a second one of their own, which is made when
    it is expected or the first of them begins: so no upload stands before a question, in TLS or in TCP. What is small
    may go over the first one. `first` was asked behind `hello` already, before the version was known.

    Each of them that was lost is made anew by whoever needs it next, with a `hello` of its own. A question that was on
    its way is not repeated: it may have been answered.
    """

    def __init__(
        self, transport: ClientTransport, hello: HelloAnswer, greet: Greet, nursery: trio.Nursery,
        first: tuple[Question[Any], Call] | None = None,
    ) -> None:  # fmt: skip
        self._transport = transport
        self._greet = greet
        self._bulk: ClientTransport | None = None
        self._dialling = trio.Lock()
        self._nursery = nursery
        self._expecting: trio.CancelScope | None = None
        self._first = first
        self.hello = hello

    @property
    def is_lost(self) -> bool:
        """Whether the next question goes over another connection than the one before."""
        return self._transport.failure is not None

    async def ask(
        self, method: str, request: msgspec.Struct, answer_type: type[Answer], raw: BytesLike = b""
    ) -> tuple[Answer, memoryview]:
        """One question, one answer and the raw bytes beside it; an error of the vault is a RemoteProtocolError."""
        first, self._first = self._first, None
        if first is not None:
            async with first[1] as call:
                with _taken_before_hello():
                    if (method, request) == (first[0].method, first[0].request):
                        return await call.answer(answer_type)
        return await (await self._connected()).ask(method, request, answer_type, raw)

    async def ask_in_turn(
        self, question: Question[Answer], later: Question[Later]
    ) -> tuple[Answer, Callable[[], Awaitable[Later | RemoteProtocolError]]]:
        """Both in one round trip; the vault takes `later` after `question`, and refuses it where it refused that one.
        Where it speaks version 1 they are asked one after the other. An error of `question` is raised. Whoever
        calls what is returned beside the answer waits for that of `later`; an error of it is in its place.
        """
        transport = await self._connected()
        if self.hello.version < VERSION_IN_TURN:
            answer, _ = await self.ask(question.method, question.request, question.answer_type, question.raw)
            ask_later = partial(self.ask, later.method, later.request, later.answer_type, later.raw)
            return answer, partial(_answer_or_error, ask_later)
        async with transport.asking(question.method, question.request, question.raw) as call:
            call_later = await _asked(transport, later)
            try:
                answer, _ = await call.answer(question.answer_type)
            except BaseException:
                await call_later.aclose()
                raise
        return answer, partial(_answer_or_error, partial(_last_answer, call_later, later.answer_type))

    def call(self, method: str, *, is_small: bool = False) -> Call:
        """A request of many frames; use it with `async with`. `is_small`: few bytes in all, so that no question waits
        long for them, and no connection is made for them.
        """
        return Call(method, self._open_small_channel if is_small else self._open_bulk_channel)

    def expect_bulk(self) -> None:
        """The connection for requests of many frames is made beside what is asked meanwhile."""
        if self._expecting is None:
            self._expecting = trio.CancelScope()
            self._nursery.start_soon(self._make_bulk, self._expecting)

    async def aclose(self) -> None:
        if self._expecting is not None:
            self._expecting.cancel()
        await self._transport.aclose()
        if self._bulk is not None:
            await self._bulk.aclose()

    async def _make_bulk(self, scope: trio.CancelScope) -> None:
        """Whoever needs it tries again, and is told what is wrong."""
        with scope, suppress(RemoteProtocolError):
            await self._connected_bulk()

    async def _open_small_channel(self, method: str) -> Channel:
        is_bulk_there = self._bulk is not None and self._bulk.failure is None
        if is_bulk_there or self.is_lost:
            return await self._open_bulk_channel(method)
        return await self._transport.open_channel(method)

    async def _open_bulk_channel(self, method: str) -> Channel:
        return await (await self._connected_bulk()).open_channel(method)

    async def _connected(self) -> ClientTransport:
        if self.is_lost:
            async with self._dialling:
                if self.is_lost:
                    self._transport, self.hello = await self._greet()
        return self._transport

    async def _connected_bulk(self) -> ClientTransport:
        async with self._dialling:
            # The vault ends what is idle, and a restore may pause between two fetches.
            if self._bulk is None or self._bulk.failure is not None:
                self._bulk, _ = await self._greet()
        return self._bulk


@asynccontextmanager
async def connect(
    endpoint: Endpoint, program: str, pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    first: Question[Any] | None = None,
) -> AsyncIterator[VaultSession]:  # fmt: skip
    """Tries again for a few seconds where the vault is not there; then, or at a wrong certificate, one Failure. `first`
    is what the session will ask first: it is sent with `hello`.
    """
    context = client_tls_context(endpoint.ca_pem, endpoint.certificate_file, endpoint.key_file)
    async with connected(endpoint, context, program, pauses_seconds, first) as session:
        yield session


def address_of(url: str) -> tuple[str, int]:
    """Host and port of https://HOST[:PORT]."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _no_url(url) from None
    if parts.scheme != "https" or not host or parts.path.strip("/") or parts.query or parts.username:
        raise _no_url(url)
    return host, port or PORT_DEFAULT


@asynccontextmanager
async def connected(
    endpoint: Endpoint, context: ssl.SSLContext, program: str, pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    first: Question[Any] | None = None,
) -> AsyncIterator[VaultSession]:  # fmt: skip
    """Under rules of trust that the caller made. Errors of the body come out as they are, not wrapped in a group of
    tasks.
    """
    host, port = address_of(endpoint.url)
    try:
        async with trio.open_nursery() as nursery:
            dial = partial(open_connection, host, port, context, nursery)
            hello = HelloRequest(list(PROTOCOL_VERSIONS), program, PROGRAM_VERSION, endpoint.token)
            begin = partial(_session, dial, hello, nursery, first)
            session = await _patient_session(begin, f"{host}:{port}", pauses_seconds)
            try:
                yield session
            finally:
                await session.aclose()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


async def _patient_session(
    begin: Callable[[], Awaitable[VaultSession]], address: str, pauses_seconds: Sequence[float]
) -> VaultSession:
    for pause_seconds in (*pauses_seconds, None):
        try:
            with trio.fail_after(ATTEMPT_SECONDS):
                return await begin()
        except (ConnectionLost, trio.TooSlowError) as error:
            if pause_seconds is None or isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise _unreachable(address, error) from error
        await trio.sleep(pause_seconds)
    raise AssertionError("the last attempt returns or raises")


async def _session(dial: Dial, hello: HelloRequest, nursery: trio.Nursery, first: Question[Any] | None) -> VaultSession:
    async def greet() -> tuple[ClientTransport, HelloAnswer]:
        transport, answer, _ = await _greeted(dial, hello, None)
        return transport, answer

    transport, answer, call = await _greeted(dial, hello, first)
    return VaultSession(transport, answer, greet, nursery, (first, call) if first and call else None)


async def _greeted(
    dial: Dial, hello: HelloRequest, first: Question[Any] | None
) -> tuple[ClientTransport, HelloAnswer, Call | None]:
    """With the call of `first`, whose answer is still to come."""
    transport = await dial()
    try:
        async with transport.asking("hello", hello) as call:
            first_call = None if first is None else await _asked(transport, first)
            answer, _ = await call.answer(HelloAnswer)
    except BaseException:
        await transport.aclose()
        raise
    return transport, answer, first_call


async def _asked(transport: ClientTransport, question: Question[Any]) -> Call:
    """Its answer is still to come."""
    call = transport.call(question.method)
    try:
        await call.send(question.request, question.raw)
        await call.end()
    except BaseException:
        await call.aclose()
        raise
    return call


async def _last_answer(call: Call, answer_type: type[Answer]) -> tuple[Answer, memoryview]:
    async with call:
        return await call.answer(answer_type)


async def _answer_or_error(wait: Callable[[], Awaitable[tuple[Later, memoryview]]]) -> Later | RemoteProtocolError:
    try:
        return (await wait())[0]
    except RemoteProtocolError as error:
        return error


@contextmanager
def _taken_before_hello() -> Iterator[None]:
    """A vault of version 1 may take a request before the `hello` that came with it: then it has to be asked again."""
    try:
        yield
    except RemoteProtocolError as error:
        if error.code != ErrorCode.not_signed_in:
            raise


def _unreachable(address: str, error: ConnectionLost | trio.TooSlowError) -> Failure:
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return Failure(
            UNREACHABLE,
            f"the server at {address} is not the vault that is known here: {error.__cause__.verify_message}",
            "check the address; if the vault was set up anew, this needs a new context or a new registration",
        )
    return Failure(
        UNREACHABLE,
        f"the vault at {address} cannot be reached: {_why(error)}",
        "check that the vault is running, its address and port, and the network and firewalls between",
    )


def _why(error: ConnectionLost | trio.TooSlowError) -> str:
    """What the system said, where it said something: trio names only that all addresses failed."""
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {ATTEMPT_SECONDS:.0f} seconds"
    cause = error.__cause__
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        system = first_cause(cause.__cause__ or cause)
        return system_text(system) if isinstance(system, OSError) else str(system)
    return error.message


def _no_url(url: str) -> Failure:
    return Failure("usage", f"{url!r} is not the URL of a vault", f"it looks like https://vault.example:{PORT_DEFAULT}")
