"""What a program tells a person when it cannot go on: a code, one sentence, a hint and the exit code.

Every error that may leave a command becomes a `Failure` here, once; scripts rely on the exit codes.
"""

from collections.abc import Mapping

from protocol.errors import EXIT_CODES, ConnectionLost, ErrorCode, LocalProtocolError, RemoteProtocolError

INTERRUPTED = "interrupted"
UNREACHABLE = "unreachable"

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_WARNINGS = 3

# Codes that only clients use, beside those of the protocol.
_CLIENT_EXIT_CODES = {"failed": EXIT_FAILED, "usage": 2, UNREACHABLE: 8, INTERRUPTED: 130}


class Failure(Exception):
    """The end of a command; `code` is one of the protocol's or of this file, `details` more keys for scripts."""

    def __init__(self, code: str, message: str, hint: str = "", details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = dict(details or {})

    @property
    def exit_code(self) -> int:
        if self.code in _CLIENT_EXIT_CODES:
            return _CLIENT_EXIT_CODES[self.code]
        return EXIT_CODES[ErrorCode(self.code)] if self.code in set(ErrorCode) else EXIT_FAILED


def describe(error: BaseException) -> Failure:
    """The sentence for any error; a foreign one is a fault of the program and says its type."""
    cause = first_cause(error)
    match cause:
        case Failure():
            return cause
        case ConnectionLost():
            return Failure(
                str(cause.code),
                cause.message,
                cause.hint or "look what was done, and run it again: what was acknowledged is kept",
            )
        case RemoteProtocolError():
            return Failure(str(cause.code), cause.message, cause.hint)
        case LocalProtocolError():
            return Failure("internal", f"the program broke the protocol: {cause}", "please report this")
        case KeyboardInterrupt():
            return Failure(INTERRUPTED, "interrupted")
        case OSError():
            return _describe_system(cause)
    code = getattr(cause, "code", None)
    if isinstance(code, str):
        return Failure(code, str(cause), getattr(cause, "hint", ""))
    return Failure("internal", f"unexpected {type(cause).__name__}: {cause}", "please report this with the lines above")


def first_cause(error: BaseException) -> BaseException:
    """The error that a person should read of a group: tasks that were merely cancelled say nothing."""
    while isinstance(error, BaseExceptionGroup):
        interrupts = error.subgroup(KeyboardInterrupt)
        error = (interrupts or error).exceptions[0]
    return error


def is_own_fault(error: BaseException) -> bool:
    """A fault of this program, whose lines help to mend it; those of the vault are in its log."""
    return describe(error).code == "internal" and not isinstance(first_cause(error), RemoteProtocolError)


def _describe_system(error: OSError) -> Failure:
    place = f"{error.filename}: " if error.filename is not None else ""
    return Failure("failed", f"{place}{error.strerror or error}")
