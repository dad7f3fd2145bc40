"""The states of one session as a table: what is not in it is an error.

Used by the server for every connection; transport and HTTP/2 know nothing of it.
"""

from enum import StrEnum

from protocol.errors import ErrorCode, RemoteProtocolError


class SessionState(StrEnum):
    connected = "connected"  # TLS is up, nobody said hello
    greeted = "greeted"  # hello without an identity: open methods only
    signed_in = "signed_in"  # operator, administrator or agent
    closing = "closing"  # draining: what runs may end, nothing begins


class SessionInput(StrEnum):
    hello_open = "hello_open"  # hello was answered with the role open
    hello_identity = "hello_identity"  # hello was answered with any other role
    open_request = "open_request"  # a method of the role open, other than hello
    request = "request"  # any other method
    plain = "plain"  # healthz, metrics
    stop = "stop"  # the vault stops, or the identity was removed


_S = SessionState
_I = SessionInput

TRANSITIONS: dict[tuple[SessionState, SessionInput], SessionState] = {
    (_S.connected, _I.hello_open): _S.greeted,
    (_S.connected, _I.hello_identity): _S.signed_in,
    (_S.connected, _I.plain): _S.connected,
    (_S.connected, _I.stop): _S.closing,
    (_S.greeted, _I.open_request): _S.greeted,
    (_S.greeted, _I.plain): _S.greeted,
    (_S.greeted, _I.stop): _S.closing,
    (_S.signed_in, _I.open_request): _S.signed_in,
    (_S.signed_in, _I.request): _S.signed_in,
    (_S.signed_in, _I.plain): _S.signed_in,
    (_S.signed_in, _I.stop): _S.closing,
    (_S.closing, _I.stop): _S.closing,
}

_REFUSALS: dict[tuple[SessionState, SessionInput], tuple[ErrorCode, str, str]] = {
    (_S.connected, _I.open_request): (ErrorCode.not_signed_in, "the first request must be hello", ""),
    (_S.connected, _I.request): (ErrorCode.not_signed_in, "the first request must be hello", ""),
    (_S.greeted, _I.request): (
        ErrorCode.not_signed_in,
        "this connection is not signed in",
        "say hello with a token, or connect with an agent's certificate",
    ),
}
_AGAIN = (ErrorCode.conflict, "this connection has said hello already", "open another connection")
_CLOSING = (ErrorCode.unavailable, "the vault is closing this connection", "connect again in a moment")


class SessionStateMachine:
    def __init__(self) -> None:
        self.state = SessionState.connected

    def check(self, happened: SessionInput) -> None:
        """Raises RemoteProtocolError where `happened` is not allowed now; changes nothing."""
        if (self.state, happened) in TRANSITIONS:
            return
        refusal = _CLOSING if self.state is SessionState.closing else _REFUSALS.get((self.state, happened), _AGAIN)
        raise RemoteProtocolError(*refusal)

    def advance(self, happened: SessionInput) -> SessionState:
        self.check(happened)
        self.state = TRANSITIONS[self.state, happened]
        return self.state
