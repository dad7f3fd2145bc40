"""The errors of the conversation: a code, a sentence, a hint; whose fault it is stands in the type."""

from enum import StrEnum


class ErrorCode(StrEnum):
    bad_request = "bad_request"
    unknown_method = "unknown_method"
    unsupported_version = "unsupported_version"
    not_signed_in = "not_signed_in"
    not_allowed = "not_allowed"
    not_found = "not_found"
    conflict = "conflict"
    no_space = "no_space"
    too_large = "too_large"
    throttled = "throttled"
    damaged = "damaged"
    wrong_password = "wrong_password"
    unavailable = "unavailable"
    internal = "internal"


# What a command exits with when it ends because of this error (frozen: other people's scripts rely on it).
EXIT_CODES: dict[ErrorCode, int] = {
    ErrorCode.bad_request: 2,
    ErrorCode.unknown_method: 1,
    ErrorCode.unsupported_version: 1,
    ErrorCode.not_signed_in: 5,
    ErrorCode.not_allowed: 5,
    ErrorCode.not_found: 4,
    ErrorCode.conflict: 6,
    ErrorCode.no_space: 7,
    ErrorCode.too_large: 2,
    ErrorCode.throttled: 8,
    ErrorCode.damaged: 9,
    ErrorCode.wrong_password: 12,
    ErrorCode.unavailable: 8,
    ErrorCode.internal: 1,
}

HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.bad_request: 400,
    ErrorCode.unknown_method: 404,
    ErrorCode.unsupported_version: 400,
    ErrorCode.not_signed_in: 401,
    ErrorCode.not_allowed: 403,
    ErrorCode.not_found: 404,
    ErrorCode.conflict: 409,
    ErrorCode.no_space: 507,
    ErrorCode.too_large: 413,
    ErrorCode.throttled: 429,
    ErrorCode.damaged: 500,
    ErrorCode.wrong_password: 403,
    ErrorCode.unavailable: 503,
    ErrorCode.internal: 500,
}


class ProtocolError(Exception):
    """Anything that goes wrong in the conversation."""


class LocalProtocolError(ProtocolError):
    """This side did what the conversation does not allow: a bug, or a call after the end."""


class RemoteProtocolError(ProtocolError):
    """The other side did, or it answered with an error: `code`, `message` (one sentence) and `hint` (what to do)."""

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.code]


class ConnectionLost(RemoteProtocolError):
    """The connection ended, was never made, or broke HTTP/2 or TLS; what was not answered may have happened."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(ErrorCode.unavailable, message, hint)


class ConnectionClosed(ConnectionLost):
    """It ended in order: one side said goodbye, or nothing was going on."""
