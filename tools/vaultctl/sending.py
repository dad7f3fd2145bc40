"""A request that must not be half known: it is sent again where its answer is lost, and what is unknown is said."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tools.client.failure import first_cause
from tools.client.session import VaultSession
from tools.vaultctl.identity import ask_vault

Answer = TypeVar("Answer")

_SEND_AGAIN = 2
# With these the vault says that it did nothing; after the others, or with no answer, nobody knows.
_REFUSALS = frozenset({
    ErrorCode.bad_request, ErrorCode.unknown_method, ErrorCode.unsupported_version, ErrorCode.not_signed_in,
    ErrorCode.not_allowed, ErrorCode.not_found, ErrorCode.conflict, ErrorCode.too_large, ErrorCode.throttled,
    ErrorCode.wrong_password,
})  # fmt: skip


@dataclass(slots=True)
class Sending:
    """How often the request went out: once it did, it may have been carried out whatever comes back."""

    count: int = 0

    def send(self, ctx: click.Context, ask: Callable[[VaultSession], Awaitable[Answer]]) -> Answer:
        """For a request that does the same when it comes twice."""

        async def counted(session: VaultSession) -> Answer:
            self.count += 1
            return await ask(session)

        for _ in range(_SEND_AGAIN):
            try:
                return ask_vault(ctx, counted)
            except ConnectionLost:
                continue
        return ask_vault(ctx, counted)

    def may_be_done(self, error: BaseException) -> bool:
        """Whether the request may have been carried out although it ended with this."""
        return self.count > 1 or (self.count == 1 and not _is_refused(error))


def _is_refused(error: BaseException) -> bool:
    cause = first_cause(error)
    return (
        isinstance(cause, RemoteProtocolError)
        and not isinstance(cause, ConnectionLost)
        and cause.code in _REFUSALS
    )  # fmt: skip
