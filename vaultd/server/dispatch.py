"""From a request to its handler, and from every error to the one answer that a client may see.

Invariants: nothing runs before the session's state and the caller's role allowed it, nor beside a request that it
follows. What nobody expected is answered as `internal` with a short id, under which the log has the rest; a traceback
never leaves the process.
"""

import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import trio

from protocol.codec import decode
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.framing import Frame
from protocol.limits import (
    ANSWER_HEADER_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES_MAX,
    ROOT_BYTES,
    ROOTS_MAX,
    SAFESETS_PAGE,
)
from protocol.messages import HelloRequest, RunEndRequest
from protocol.methods import METHODS, Direction, Method, Role
from protocol.states import SessionInput
from protocol.transport import Exchange
from vaultd import metrics, offload
from vaultd.errors import Internal, NoSpace, NotAllowed, Unavailable, VaultError
from vaultd.logs import log
from vaultd.policy.roles import may
from vaultd.server import pages
from vaultd.server.fetch_budget import GivenUp
from vaultd.server.handlers import (
    account,
    chunk_fetch,
    chunk_offer,
    chunk_upload,
    collection,
    computer,
    disk,
    distrust,
    grant,
    job,
    keyring,
    restore,
    restore_order,
    retention,
    run,
    safeset,
    scrub,
    session,
    status,
)
from vaultd.server.request import Reply, Request
from vaultd.server.service import Service
from vaultd.server.session import Session

Asked = Callable[[Request], Awaitable[msgspec.Struct | Reply]]
Streamed = Callable[[Service, Session, Exchange], Awaitable[None]]

ASKED: dict[str, Asked] = {
    "authority": session.authority,
    "register": session.register,
    "account.create": account.create,
    "account.list": account.list_all,
    "account.show": account.show,
    "vault.status": status.vault_status,
    "clock.accept": status.accept_clock,
    "collection.start": collection.start,
    "collection.state": collection.state,
    "disk.list": disk.list_all,
    "disk.hit": disk.hit,
    "disk.lost": disk.lost,
    "scrub.begin": scrub.begin,
    "scrub.state": scrub.state,
    "scrub.hit": scrub.hit,
    "computer.invite": computer.invite,
    "computer.list": computer.list_all,
    "computer.show": computer.show,
    "computer.remove": computer.remove,
    "computer.distrust": distrust.distrust_runs,
    "computer.leaning": distrust.leaning,
    "job.create": job.create,
    "job.list": job.list_all,
    "job.show": job.show,
    "job.run": job.run,
    "job.request": job.request_state,
    "job.cancel": job.cancel,
    "job.remove": job.remove,
    "job.freeze": retention.freeze,
    "safeset.list": safeset.list_all,
    "safeset.grant": grant.give,
    "safeset.grants": grant.list_all,
    "safeset.revoke": grant.revoke,
    "safeset.pin": retention.pin,
    "safeset.unpin": retention.unpin,
    "safeset.delete": retention.delete,
    "safeset.undelete": retention.undelete,
    "safeset.ended": retention.list_ended,
    "retention.set": retention.set_type,
    "retention.confirm": retention.confirm,
    "retention.limit": retention.limit,
    "retention.confirm_limit": retention.confirm_limit,
    "retention.list": retention.list_all,
    "retention.simulate": retention.simulate,
    "agent.jobs": job.list_for_agent,
    "agent.work": job.wait_for_work,
    "keyring.create": keyring.create,
    "keyring.parameters": keyring.parameters,
    "keyring.open": keyring.open_slot,
    "keyring.slots": keyring.change_slots,
    "run.begin": run.begin,
    "run.key": run.add_key,
    "run.progress": run.tell_progress,
    "run.end": run.end,
    "chunk.offer": chunk_offer.offer,
    "safeset.commit": safeset.commit,
    "safeset.find": safeset.find,
    "safeset.roots": safeset.roots,
    "restore.parameters": restore.parameters,
    "restore.open": restore.open_restore,
    "restore.order": restore_order.give,
    "restore.orders": restore_order.list_all,
    "restore.state": restore_order.show,
    "restore.cancel": restore_order.cancel,
    "restore.take": restore_order.take,
    "restore.progress": restore_order.tell_progress,
    "restore.end": restore_order.end,
}
STREAMED: dict[str, Streamed] = {
    "chunk.upload": chunk_upload.upload,
    "chunk.fetch": chunk_fetch.fetch,
}
# Answers that are large, and how large at most: they have room in the budget of fetches until they are on their way.
LARGE_ANSWERS = {
    "restore.open": PAYLOAD_BYTES_MAX + 2 * RECORD_BYTES_MAX,
    "safeset.roots": ROOT_BYTES * ROOTS_MAX,
    "safeset.list": 512 * SAFESETS_PAGE,
    "safeset.grants": ANSWER_HEADER_BYTES_MAX,
    "safeset.ended": ANSWER_HEADER_BYTES_MAX,
    "retention.simulate": ANSWER_HEADER_BYTES_MAX,
    "restore.orders": ANSWER_HEADER_BYTES_MAX,
    **dict.fromkeys(
        (
            "account.list",
            "account.show",
            "computer.list",
            "computer.show",
            "job.list",
            "job.show",
            "agent.jobs",
            "keyring.parameters",
        ),
        ANSWER_HEADER_BYTES_MAX,
    ),
}
# Outcomes of a run that come after no safeset: its end does not wait for a root that is still looked at.
GIVEN_UP = ("failed", "aborted")
UNKNOWN = "unknown"
GONE = "gone"
OK = "ok"
# The peer is gone, or a task beside the one that failed lost its channel.
LOST = (ConnectionLost, trio.BrokenResourceError, trio.ClosedResourceError)
# Their causes name files, and no account or computer.
OF_THE_VAULT = (Unavailable, NoSpace, Internal)


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    message: str
    hint: str = ""


@dataclass(slots=True)
class Ended:
    """How a request ended, for log and metrics; `problem` where a fault of the vault was told to nobody."""

    code: str = GONE
    problem: str = ""


async def answer(service: Service, session_of_connection: Session, exchange: Exchange) -> None:
    """Runs one request to its end; raises nothing but cancellation."""
    begin = time.monotonic()
    method = exchange.method if exchange.method in METHODS else pages.NAMES.get(exchange.path, UNKNOWN)
    ended = Ended()
    try:
        await _answer(service, session_of_connection, exchange, ended)
    finally:
        seconds = time.monotonic() - begin
        metrics.REQUESTS.labels(method, ended.code).inc()
        metrics.REQUEST_SECONDS.labels(method).observe(seconds)
        fields = session_of_connection.log_fields | ({"problem": ended.problem} if ended.problem else {})
        log.info("request", method=method, code=ended.code, seconds=round(seconds, 4), **fields)


async def _answer(service: Service, session_of_connection: Session, exchange: Exchange, ended: Ended) -> None:
    try:
        await _run(service, session_of_connection, exchange)
        await exchange.finish()
        ended.code = OK
    except Exception as error:
        await _refuse(service, exchange, error, ended)
    except BaseExceptionGroup as group:
        await _end_cancelled(service, group, ended)


async def _run(service: Service, session_of_connection: Session, exchange: Exchange) -> None:
    if exchange.path in pages.NAMES or exchange.http_method != "POST":
        session_of_connection.require(SessionInput.plain)
        await pages.show(service, session_of_connection, exchange)
        return
    method = METHODS.get(exchange.method)
    if method is None:
        raise RemoteProtocolError(
            ErrorCode.unknown_method, f"the vault has no method {exchange.method[:64]!r}", "the program may be newer"
        )
    await exchange.wait_for_hello()
    if method.name == "hello":
        message = decode((await _frame(exchange)).header, HelloRequest)
        await exchange.send_message(await session.hello(service, session_of_connection, exchange, message))
        return
    if session_of_connection.is_closing and session_of_connection.role is not None:
        service.group.refuse_after_error()  # why the vault stops, whichever request of an agent hears it first
    _authorise(session_of_connection, method)
    service.require_present(session_of_connection)
    if session_of_connection.role is not None:
        offload.work_for(session_of_connection.identity.account_id)
    if method.direction is Direction.ask:
        await _ask(service, session_of_connection, exchange, method)
    else:
        await STREAMED[method.name](service, session_of_connection, exchange)


_CONTEXTS = {
    Role.operator: "use the operator's context (made by `vaultd init`)",
    Role.administrator: "use the administrator's context (made by `vaultctl account create`)",
}


def _authorise(session_of_connection: Session, method: Method) -> None:
    is_open = method.role is Role.open
    session_of_connection.require(SessionInput.open_request if is_open else SessionInput.request)
    # Two tables that were written apart must both say yes.
    caller = Role(session_of_connection.role_text)
    if not (method.role.allows(caller) and may(session_of_connection.role, method.name)):
        raise NotAllowed(
            f"{method.name} is not for the role {caller.value}",
            _CONTEXTS.get(method.role, f"only the role {method.role.value} may ask for it"),
        )


async def _ask(service: Service, session_of_connection: Session, exchange: Exchange, method: Method) -> None:
    """What holds room for a large answer waits for nothing that its client has still to send: not for the question, nor
    for another one that it follows.
    """
    question = await _question(service, session_of_connection, exchange, method)
    if method.name not in LARGE_ANSWERS:
        reply = await _reply(question, exchange, method)
        del question  # it may be large, and counts no more
        await exchange.send_message(reply.message, reply.raw)
        return
    fetches, account_id = service.fetches, session_of_connection.identity.account_id
    with fetches.request(account_id):
        async with fetches.room(account_id, LARGE_ANSWERS[method.name]) as room:
            reply = await _reply(question, exchange, method)
            room.shrink(await exchange.send_message(reply.message, reply.raw))
            del reply
            await exchange.wait_sent()


async def _question(service: Service, session_of_connection: Session, exchange: Exchange, method: Method) -> Request:
    """The whole question, when it is its turn."""
    frame = await _frame(exchange)
    message = decode(frame.header, method.request)
    if not (isinstance(message, RunEndRequest) and message.outcome in GIVEN_UP):
        await exchange.wait_for_turn()
    return Request(service, session_of_connection, message, frame.raw)


async def _reply(question: Request, exchange: Exchange, method: Method) -> Reply:
    reply = await ASKED[method.name](question)
    exchange.end_question()
    return reply if isinstance(reply, Reply) else Reply(reply)


async def _frame(exchange: Exchange) -> Frame:
    frame = await exchange.receive_frame()
    if frame is None:
        raise RemoteProtocolError(ErrorCode.bad_request, "the request has no message")
    return frame


async def _end_cancelled(service: Service, group: BaseExceptionGroup, ended: Ended) -> None:
    """Cancelled, because nobody is there for the answer: a task that met something in that very moment must not end the
    connection with all that goes on there. What it met is judged and told all the same.
    """
    cancelled, others = group.split(trio.Cancelled)
    if cancelled is None or not isinstance(others, ExceptionGroup):
        raise group
    await _judge(service, others, ended)
    raise cancelled


async def _judge(service: Service, error: Exception, ended: Ended) -> Refusal | None:
    """What the log and the metrics are to know, whoever waits for the answer; None where only the peer went away."""
    cause = _cause(error)
    refusal = None if isinstance(cause, LOST) else _refusal(cause)
    if refusal is not None:
        ended.code = refusal.code
        if isinstance(cause, OF_THE_VAULT):
            ended.problem = f"{type(cause).__name__}: {cause.__cause__ or cause}"
        if refusal.code == ErrorCode.no_space:
            service.room_notice.tell(cause)
    for one in _causes(error):
        await service.stop_if_broken(one)
    return refusal


def _causes(error: Exception) -> list[Exception]:
    """All of a group."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [cause for one in error.exceptions for cause in _causes(one)]


def _cause(error: Exception) -> Exception:
    """The one of a group that says why: tasks beside it only lost their channel or their peer."""
    return min(_causes(error), key=lambda one: isinstance(one, LOST))


async def _refuse(service: Service, exchange: Exchange, error: Exception, ended: Ended) -> None:
    """Tells the client, if there is one."""
    cause = _cause(error)
    if isinstance(cause, GivenUp):
        exchange.abort()
    refusal = await _judge(service, error, ended)
    if refusal is None:
        return
    with suppress(*LOST):
        await exchange.send_error(refusal.code, refusal.message, refusal.hint)
        await exchange.finish()
        ended.problem = ""  # the client was told


def _refusal(error: Exception) -> Refusal:
    match error:
        case VaultError() if error.code != "internal":
            return Refusal(error.code, error.message, error.hint)
        case RemoteProtocolError():
            return Refusal(str(error.code), error.message, error.hint)
    error_id = secrets.token_hex(4)
    log.error("unexpected", error_id=error_id, problem=f"{type(error).__name__}: {error}", place=_place(error))
    return Refusal("internal", f"the vault failed (error {error_id})", "the vault's log has more under this id")


def _place(error: Exception) -> str:
    """Functions and lines from the outermost to where it happened: code only, no values."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
