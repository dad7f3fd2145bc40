"""The code with which one computer registers (docs/format.md, Invite code).

An administrator's program writes it: the vault gives the secret alone, so that it cannot choose whom the new agent
trusts.
"""

import base64
import binascii
import hashlib
import ssl
from dataclasses import dataclass, field

from blake3 import blake3

from tools.client.creator_key import CREATOR_FINGERPRINT_BYTES
from tools.client.failure import Failure

CODE_VERSION = 1
SECRET_BYTES = 16
AUTHORITY_FINGERPRINT_BYTES = 20
CHECKSUM_BYTES = 4
GROUP_CHARACTERS = 5

_CREATOR_OFFSET = 1 + SECRET_BYTES + AUTHORITY_FINGERPRINT_BYTES
_CHECKSUM_OFFSET = _CREATOR_OFFSET + CREATOR_FINGERPRINT_BYTES
_CODE_CHARACTERS = 98
_PADDING = "======"


@dataclass(frozen=True, slots=True)
class InviteCode:
    """`creator_fingerprint` is that of the one person whose jobs the agent will take."""

    secret: bytes = field(repr=False)
    authority_fingerprint: bytes
    creator_fingerprint: bytes


def authority_fingerprint(certificate_pem: str) -> bytes:
    """By it the agent knows the right vault at the first contact."""
    certificate = ssl.PEM_cert_to_DER_cert(certificate_pem.strip())
    return hashlib.sha256(certificate).digest()[:AUTHORITY_FINGERPRINT_BYTES]


def format_invite_code(code: InviteCode) -> str:
    """As people copy it: groups of five, joined by `-`."""
    data = bytes([CODE_VERSION]) + code.secret + code.authority_fingerprint + code.creator_fingerprint
    text = base64.b32encode(data + _checksum(data)).decode("ascii").rstrip("=")
    return "-".join(text[at : at + GROUP_CHARACTERS] for at in range(0, len(text), GROUP_CHARACTERS))


def parse_invite_code(text: str) -> InviteCode:
    """Case, spaces and dashes do not matter; anything else that differs is refused.

    Nobody but the checksum compares the creator's fingerprint: with a wrong one the agent would take no job, for ever.
    """
    characters = "".join(text.upper().replace("-", "").split())
    if len(characters) != _CODE_CHARACTERS:
        raise _refuse(f"the invite code has {len(characters)} letters and digits, it needs {_CODE_CHARACTERS}")
    try:
        code = base64.b32decode(characters + _PADDING)
    except binascii.Error:
        raise _refuse("the invite code has a character that is not one of A-Z and 2-7") from None
    is_canonical = base64.b32encode(code).decode("ascii") == characters + _PADDING
    if not is_canonical or code[_CHECKSUM_OFFSET:] != _checksum(code[:_CHECKSUM_OFFSET]):
        raise _refuse("the invite code is mistyped: its checksum is wrong")
    if code[0] != CODE_VERSION:
        raise _refuse(f"the invite code has version {code[0]}, this program knows version {CODE_VERSION}")
    return InviteCode(
        code[1 : 1 + SECRET_BYTES],
        code[1 + SECRET_BYTES : _CREATOR_OFFSET],
        code[_CREATOR_OFFSET:_CHECKSUM_OFFSET],
    )


def _checksum(data: bytes) -> bytes:
    return blake3(data).digest(CHECKSUM_BYTES)


def _refuse(message: str) -> Failure:
    return Failure("bad_request", message, "compare it with what `vaultctl computer invite` printed, or copy it again")
