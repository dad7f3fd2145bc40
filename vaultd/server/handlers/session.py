"""The first words of a connection, the site's authority, and the registration of a computer."""

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.states import SessionInput
from protocol.transport import Exchange
from protocol.version import PROTOCOL_VERSIONS, choose_version
from vaultd import metrics, offload
from vaultd.errors import NotSignedIn, VaultError
from vaultd.operations import computers, sign_in
from vaultd.records import Identity, Role
from vaultd.server import answers
from vaultd.server.request import Request
from vaultd.server.service import Service
from vaultd.server.session import Session

# A quarter of all, or this.
ACCOUNT_CONNECTIONS = 64
# Kept for operators when all others are taken.
OPERATOR_CONNECTIONS = 16


async def hello(service: Service, session: Session, exchange: Exchange, message: m.HelloRequest) -> m.HelloAnswer:
    """Fixes the version and the identity of this connection."""
    session.require(SessionInput.hello_open)
    version = choose_version(message.versions)
    if version is None:
        spoken = ", ".join(map(str, PROTOCOL_VERSIONS))
        raise RemoteProtocolError(
            ErrorCode.unsupported_version,
            f"the vault speaks version {spoken}",
            "upgrade the older of the two programs",
        )
    identity = await _identify(service, exchange, session, message.token)
    if identity is not None:
        _check_room(service, identity)
    session.greet(identity)
    if identity is not None:
        exchange.connection.signed_in(identity.account_id)
    vault = service.vault
    return m.HelloAnswer(
        version=version,
        vault_id=vault.vault_id,
        vault_name=vault.config.name,
        place=vault.config.place,
        time_ns=vault.clock.now_ns(),
        role=session.role_text,
    )


async def authority(request: Request) -> m.AuthorityAnswer:
    return m.AuthorityAnswer(request.vault.authority.certificate_pem.decode())


async def register(request: Request) -> m.RegisterAnswer:
    message: m.RegisterRequest = request.message
    asked = computers.RegistrationRequest(
        secret=message.secret,
        name=message.name,
        certificate_request=message.certificate_request,
        sealing_key=message.sealing_key,
    )
    try:
        checked = await offload.compute(computers.check_request, request.vault, asked)
    except VaultError:
        request.service.guesses.count(request.session.network)
        raise
    registered = await offload.write(computers.register, request.vault, checked)
    request.service.work.wake(registered.computer_id)  # an agent whose place this one took learns it now
    return answers.answer(registered, m.RegisterAnswer)


def _check_room(service: Service, identity: Identity) -> None:
    """Nobody signs in between this and the count of the next one: no await stands between them."""
    room = service.vault.config.connections_max
    if identity.role is Role.OPERATOR:
        room += OPERATOR_CONNECTIONS
    elif service.count_signed_in(identity.account_id) >= min(room, max(ACCOUNT_CONNECTIONS, room // 4)):
        raise RemoteProtocolError(
            ErrorCode.unavailable,
            "this account has as many connections as one may have",
            "try again later; the operator may raise connections_max",
        )
    if service.count_signed_in() >= room:
        raise RemoteProtocolError(
            ErrorCode.unavailable,
            "the vault has as many connections as it takes",
            "try again later; the operator may raise connections_max",
        )


async def _identify(service: Service, exchange: Exchange, session: Session, token: bytes | None) -> Identity | None:
    """A token is a person, a certificate an agent, neither nobody. Who shows something that nobody holds is refused."""
    certificate = exchange.peer.certificate
    if token is not None:
        identity = await find_person(service, session, token)
        refusal = NotSignedIn("this token is not known", "use the context that the vault or its operator made")
    elif certificate is not None:
        identity = await find_agent(service, certificate)
        refusal = NotSignedIn("this agent's key is not known", "register the computer with a new code")
    else:
        return None
    if identity is None:
        metrics.SIGN_IN_FAILURES.inc()
        raise refusal
    return identity


async def find_agent(service: Service, certificate: bytes) -> Identity | None:
    """Who has this certificate's key; NotSignedIn for a computer that was removed."""
    try:
        return await offload.sign_in(sign_in.sign_in_certificate, service.vault, certificate)
    except NotSignedIn:
        metrics.SIGN_IN_FAILURES.inc()
        raise


async def find_person(service: Service, session: Session, token: bytes) -> Identity | None:
    """Who holds this token; Throttled for a wrong one from a network that guesses."""
    identity = await offload.sign_in(sign_in.sign_in_token, service.vault, token)
    if identity is None:
        service.guesses.count(session.network)
    return identity
