"""What the daemon can refuse or fail at: one class per cause, each with its wire code, a sentence and a hint.

The codes are plain text here because this layer knows no wire; they are the values of the protocol's error codes. A
message names only what the caller asked for, never what else the vault knows.
"""

from typing import ClassVar


class VaultError(Exception):
    """Base of everything that the vault says no with."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Internal(VaultError):
    """A fault of the program."""


class BadRequest(VaultError):
    """The caller sent something that cannot be right."""

    code = "bad_request"
    exit_code = 2


class NotFound(VaultError):
    """It does not exist, or belongs to somebody else: the two are not told apart."""

    code = "not_found"
    exit_code = 4


class NotSignedIn(VaultError):
    """Nobody has signed in on this connection, or the identity was revoked."""

    code = "not_signed_in"
    exit_code = 5


class NotAllowed(VaultError):
    """The identity is known and may not do this."""

    code = "not_allowed"
    exit_code = 5


class Conflict(VaultError):
    """The state of the vault is not the one that the caller assumed."""

    code = "conflict"
    exit_code = 6


class NoSpace(VaultError):
    """No disk has room."""

    code = "no_space"
    exit_code = 7


class Throttled(VaultError):
    """Too many attempts."""

    code = "throttled"
    exit_code = 8


class Unavailable(VaultError):
    """The store has stopped, or a disk is offline."""

    code = "unavailable"
    exit_code = 8


class Damaged(VaultError):
    """Bytes on a disk are not the bytes that were written."""

    code = "damaged"
    exit_code = 9


class WrongPassword(VaultError):
    """A proof did not fit."""

    code = "wrong_password"
    exit_code = 12
