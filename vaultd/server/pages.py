"""Two plain pages beside the methods: is it up (for everybody), and its figures (for an operator's token)."""

from protocol.transport import Exchange
from vaultd import metrics
from vaultd.errors import Throttled
from vaultd.policy.roles import may
from vaultd.server.handlers.session import find_person
from vaultd.server.service import Service
from vaultd.server.session import Session

NAMES = {"/healthz": "healthz", "/metrics": "metrics"}
PLAIN_TEXT = "text/plain; charset=utf-8"
BEARER = "bearer "
TOKEN_HEX_CHARACTERS = 64


async def show(service: Service, session: Session, exchange: Exchange) -> None:
    if exchange.path not in NAMES:
        await exchange.send_plain(404, PLAIN_TEXT, b"no such page\n")
    elif exchange.http_method not in ("GET", "HEAD"):
        await exchange.send_plain(405, PLAIN_TEXT, b"only GET\n")
    elif exchange.path == "/healthz":
        stopped = service.store_stopped.is_set()
        await exchange.send_plain(503 if stopped else 200, PLAIN_TEXT, b"stopping\n" if stopped else b"ok\n")
    elif await _is_operator(service, session, exchange):
        await exchange.send_plain(200, metrics.CONTENT_TYPE, metrics.render())
    else:
        await exchange.send_plain(401, PLAIN_TEXT, b"send the operator's token as `authorization: Bearer HEX`\n")


async def _is_operator(service: Service, session: Session, exchange: Exchange) -> bool:
    authorization = exchange.headers.get("authorization", "")
    text = authorization[len(BEARER) :] if authorization.lower().startswith(BEARER) else ""
    try:
        token = bytes.fromhex(text) if len(text) == TOKEN_HEX_CHARACTERS else b""
    except ValueError:
        token = b""
    if not token:
        return False
    try:
        identity = await find_person(service, session, token)
    except Throttled:
        return False
    if identity is None:
        metrics.SIGN_IN_FAILURES.inc()
    return identity is not None and may(identity.role, "metrics")
