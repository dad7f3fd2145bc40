"""Exit codes are a contract with other people's scripts: written here a second time, by hand."""

from protocol.errors import EXIT_CODES, HTTP_STATUS, ErrorCode, RemoteProtocolError

CONTRACT = {
    "bad_request": 2,
    "unknown_method": 1,
    "unsupported_version": 1,
    "not_signed_in": 5,
    "not_allowed": 5,
    "not_found": 4,
    "conflict": 6,
    "no_space": 7,
    "too_large": 2,
    "throttled": 8,
    "damaged": 9,
    "wrong_password": 12,
    "unavailable": 8,
    "internal": 1,
}


def test_every_code_has_its_exit_code_and_a_status():
    assert {code.value: exit_code for code, exit_code in EXIT_CODES.items()} == CONTRACT
    assert set(HTTP_STATUS) == set(ErrorCode)
    assert all(400 <= status < 600 for status in HTTP_STATUS.values())


def test_an_error_reads_as_its_sentence_and_its_hint():
    error = RemoteProtocolError(ErrorCode.not_found, "there is no job x", "look at the list")
    assert str(error) == "there is no job x; look at the list"
    assert error.exit_code == 4
