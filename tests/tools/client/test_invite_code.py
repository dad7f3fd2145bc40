"""The invite code: base32 of version, secret, both fingerprints and a checksum; anything else is refused."""

import base64

import pytest
from blake3 import blake3

from tools.client.failure import Failure
from tools.client.invite_code import format_invite_code, parse_invite_code

SECRET = bytes(range(16))
FINGERPRINT = bytes(range(100, 120))
CREATOR = bytes(range(200, 220))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# `base32` of coreutils over 01 ‖ 00..0f ‖ 64..77 ‖ c8..db ‖ d1d6c5ec, the checksum by the formulas of BLAKE3's paper.
LITERAL = (
    "AEAAC-AQDAQ-CQMBY-IBEFA-WDANB-YHWIZ-LGM5U-GS2TL-NRWW4-33QOF-ZHG5D-VOZ34-RSOKZ-PGM3T-WP2DI-5FU6U-2XLNP-WGZ3L-"
    "N5DVW-F5Q"
)


def code_text(data: bytes) -> str:
    data += blake3(data).digest()[:4]
    text = base64.b32encode(data).decode().rstrip("=")
    return "-".join(text[i : i + 5] for i in range(0, len(text), 5))


def test_a_literal_code() -> None:
    code = parse_invite_code(LITERAL)
    assert (code.secret, code.authority_fingerprint, code.creator_fingerprint) == (SECRET, FINGERPRINT, CREATOR)
    assert format_invite_code(code) == LITERAL


def test_case_spaces_and_dashes_do_not_matter() -> None:
    text = code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)
    code = parse_invite_code("  " + text.lower().replace("-", " ") + "\n")
    assert code.secret == SECRET


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has 0 letters"),
        (code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[:-1], "has 97 letters"),
        (code_text(b"\x02" + SECRET + FINGERPRINT + CREATOR), "version 2"),
        ("1" + code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[1:], "not one of A-Z"),
        (code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[:-1] + "R", "mistyped"),
    ],
)
def test_anything_else_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence) as caught:
        parse_invite_code(text)
    assert caught.value.exit_code == 2
    assert "vaultctl computer invite" in caught.value.hint


@pytest.mark.parametrize("place", range(len(LITERAL)))
def test_one_wrong_character_anywhere_is_noticed(place: int) -> None:
    if LITERAL[place] == "-":
        return
    for letter in set(ALPHABET) - {LITERAL[place]}:
        with pytest.raises(Failure, match="the invite code is mistyped") as caught:
            parse_invite_code(LITERAL[:place] + letter + LITERAL[place + 1 :])
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("place", range(len(LITERAL) - 1))
def test_two_characters_that_changed_places_are_noticed(place: int) -> None:
    first, second = LITERAL[place], LITERAL[place + 1]
    if "-" in (first, second) or first == second:
        return
    with pytest.raises(Failure, match="the invite code is mistyped"):
        parse_invite_code(LITERAL[:place] + second + first + LITERAL[place + 2 :])


def test_the_secret_is_not_shown() -> None:
    code = parse_invite_code(code_text(b"\x01" + b"S" * 16 + FINGERPRINT + CREATOR))
    assert "SSSS" not in repr(code)
