"""The code with which one computer registers: a secret, and the fingerprint of the site's authority.

Text: base32 (A-Z, 2-7) in groups of five joined by `-`, of version (1 byte, 1), secret (16) and the first 20 bytes of
the SHA-256 of the authority's certificate (DER). The fingerprint makes the first contact safe without any other key.
"""

import base64
import binascii
from dataclasses import dataclass, field

from tools.client.failure import Failure

CODE_VERSION = 1
SECRET_BYTES = 16
AUTHORITY_FINGERPRINT_BYTES = 20
GROUP_CHARACTERS = 5

_CODE_BYTES = 1 + SECRET_BYTES + AUTHORITY_FINGERPRINT_BYTES
_CODE_CHARACTERS = 60
_PADDING = "===="


@dataclass(frozen=True, slots=True)
class InviteCode:
    secret: bytes = field(repr=False)
    authority_fingerprint: bytes


def parse_invite_code(text: str) -> InviteCode:
    """Case, spaces and dashes do not matter; anything else that differs is refused."""
    characters = "".join(text.upper().replace("-", "").split())
    if len(characters) != _CODE_CHARACTERS:
        raise _refuse(f"the invite code has {len(characters)} letters and digits, it needs {_CODE_CHARACTERS}")
    try:
        code = base64.b32decode(characters + _PADDING)
    except binascii.Error:
        raise _refuse("the invite code has a character that is not one of A-Z and 2-7") from None
    if len(code) != _CODE_BYTES or base64.b32encode(code).decode("ascii") != characters + _PADDING:
        raise _refuse("the end of the invite code is not one that a vault writes")
    if code[0] != CODE_VERSION:
        raise _refuse(f"the invite code has version {code[0]}, this program knows version {CODE_VERSION}")
    return InviteCode(code[1 : 1 + SECRET_BYTES], code[1 + SECRET_BYTES :])


def _refuse(message: str) -> Failure:
    return Failure("bad_request", message, "copy the whole code as `vaultctl computer invite` printed it")
