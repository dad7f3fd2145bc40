"""What to do where the vault does not find a thing: it says what is missing, only this program knows what was typed."""

from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import ErrorCode, RemoteProtocolError

OF_ANOTHER_COMPUTER = "name the computer that made it with --computer NAME"


@contextmanager
def hint_where_not_found(hint: str) -> Iterator[None]:
    """A hint of the vault's own stays."""
    try:
        yield
    except RemoteProtocolError as error:
        if error.code is not ErrorCode.not_found or error.hint:
            raise
        raise RemoteProtocolError(error.code, error.message, hint) from None
