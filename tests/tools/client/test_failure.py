"""Exit codes are the ones that scripts rely on, and every error has a sentence."""

import pytest

from protocol.errors import ConnectionLost, ErrorCode, LocalProtocolError, RemoteProtocolError
from tools.client.failure import Failure, describe, is_own_fault

# From the command contract.
EXIT_CODES = {
    "failed": 1,
    "usage": 2,
    "not_found": 4,
    "not_allowed": 5,
    "not_signed_in": 5,
    "conflict": 6,
    "no_space": 7,
    "unreachable": 8,
    "unavailable": 8,
    "throttled": 8,
    "damaged": 9,
    "wrong_password": 12,
    "interrupted": 130,
    "something else": 1,
}


@pytest.mark.parametrize(("code", "exit_code"), EXIT_CODES.items())
def test_exit_codes(code: str, exit_code: int) -> None:
    assert Failure(code, "m").exit_code == exit_code


def test_an_answer_of_the_vault_keeps_its_words() -> None:
    failure = describe(RemoteProtocolError(ErrorCode.not_found, "there is no job j", "see `job list`"))
    assert (failure.code, failure.message, failure.hint) == ("not_found", "there is no job j", "see `job list`")


def test_a_group_of_tasks_tells_its_first_error() -> None:
    lost = ConnectionLost("the connection ended")
    assert describe(ExceptionGroup("tasks", [ExceptionGroup("inner", [lost]), ValueError("x")])).code == "unavailable"


def test_a_connection_that_ended_says_what_to_do() -> None:
    hint = "look what was done, and run it again: what was acknowledged is kept"
    assert describe(ConnectionLost("the connection ended")).hint == hint
    assert describe(ConnectionLost("no vault", "look at the port")).hint == "look at the port"


def test_only_a_fault_of_the_program_itself_is_shown_with_its_lines() -> None:
    """What the vault could not do stands in the vault's log."""
    told = RemoteProtocolError(ErrorCode.internal, "the vault failed (error 1234)", "the vault's log has more")
    assert not is_own_fault(ExceptionGroup("tasks", [told]))
    assert not is_own_fault(Failure("no_space", "the vault has no room left"))
    assert is_own_fault(ZeroDivisionError())


def test_files_are_named() -> None:
    failure = describe(PermissionError(13, "Permission denied", "/etc/x"))
    assert (failure.code, failure.message) == ("failed", "/etc/x: Permission denied")


def test_errors_that_carry_a_code_keep_it() -> None:
    class WrongPassword(Exception):
        code = "wrong_password"

    failure = describe(WrongPassword("the password does not fit"))
    assert (failure.exit_code, failure.message) == (12, "the password does not fit")


def test_what_nobody_expected_is_internal() -> None:
    assert describe(ZeroDivisionError("division by zero")).code == "internal"
    assert describe(LocalProtocolError("sent after the end")).code == "internal"
    assert describe(KeyboardInterrupt()).exit_code == 130
