"""One connection: how far its conversation is, and who is at the other end.

Invariant: the identity is set once, at hello, and never changes while the connection lasts.
"""

from typing import Literal

from protocol.states import SessionInput, SessionState, SessionStateMachine
from vaultd.errors import NotSignedIn
from vaultd.records import Identity, Role
from vaultd.server.network import network_of


class Session:
    def __init__(self, address: str) -> None:
        self.address = address
        self.network = network_of(address)
        self._machine = SessionStateMachine()
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        if self._identity is None:
            raise NotSignedIn("this connection is not signed in", "say hello with a token or an agent's certificate")
        return self._identity

    @property
    def role(self) -> Role | None:
        return None if self._identity is None else self._identity.role

    @property
    def role_text(self) -> Literal["open", "operator", "administrator", "agent"]:
        return "open" if self._identity is None else self._identity.role.value

    @property
    def log_fields(self) -> dict[str, str]:
        """Ids only: names of accounts and computers stay out of the log."""
        if self._identity is None:
            return {"role": "open", "address": self.address}
        return {"role": self.role_text, "account": self._identity.account_id.hex(), "address": self.address}

    def require(self, happened: SessionInput) -> None:
        """Raises where the conversation does not allow this now."""
        self._machine.check(happened)

    def greet(self, identity: Identity | None) -> None:
        """Hello was accepted; None means that nobody signed in."""
        self._machine.advance(SessionInput.hello_open if identity is None else SessionInput.hello_identity)
        self._identity = identity

    @property
    def is_closing(self) -> bool:
        return self._machine.state is SessionState.closing

    def close(self) -> None:
        """What runs may end, nothing new begins."""
        self._machine.advance(SessionInput.stop)
