"""The invite code: its text is base32 of version, secret and both fingerprints, and anything else is refused."""

import base64

import pytest

from tools.client.failure import Failure
from tools.client.invite_code import format_invite_code, parse_invite_code

SECRET = bytes(range(16))
FINGERPRINT = bytes(range(100, 120))
CREATOR = bytes(range(200, 220))


def code_text(data: bytes) -> str:
    text = base64.b32encode(data).decode().rstrip("=")
    return "-".join(text[i : i + 5] for i in range(0, len(text), 5))


def test_a_literal_code() -> None:
    # `base32` of coreutils over 01 ‖ 00..0f ‖ 64..77 ‖ c8..db.
    text = (
        "AEAAC-AQDAQ-CQMBY-IBEFA-WDANB-YHWIZ-LGM5U-GS2TL-NRWW4-33QOF-ZHG5D-VOZ34-RSOKZ-PGM3T-WP2DI-5FU6U-2XLNP-WGZ3L-NQ"
    )
    code = parse_invite_code(text)
    assert (code.secret, code.authority_fingerprint, code.creator_fingerprint) == (SECRET, FINGERPRINT, CREATOR)
    assert format_invite_code(code) == text


def test_case_spaces_and_dashes_do_not_matter() -> None:
    text = code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)
    code = parse_invite_code("  " + text.lower().replace("-", " ") + "\n")
    assert code.secret == SECRET


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has 0 letters"),
        (code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[:-1], "has 91 letters"),
        (code_text(b"\x02" + SECRET + FINGERPRINT + CREATOR), "version 2"),
        ("1" + code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[1:], "not one of A-Z"),
        (code_text(b"\x01" + SECRET + FINGERPRINT + CREATOR)[:-1] + "B", "end of the invite code"),
    ],
)
def test_anything_else_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence) as caught:
        parse_invite_code(text)
    assert caught.value.exit_code == 2
    assert "vaultctl computer invite" in caught.value.hint


def test_the_secret_is_not_shown() -> None:
    code = parse_invite_code(code_text(b"\x01" + b"S" * 16 + FINGERPRINT + CREATOR))
    assert "SSSS" not in repr(code)
