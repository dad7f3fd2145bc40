"""Ids and names as they appear in messages, commands and sentences."""

import unicodedata

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import NAME_CHARACTERS_MAX

ID_BYTES = 16  # account, computer, job, run, keyring, key, slot, vault, disk
HASH_BYTES = 32  # chunk id, cid, companion id, root hash

_BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
# Marks that a terminal does not show but that reorder or hide what stands beside them; their bidi class does not tell.
_INVISIBLE = {"\u061c", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u2060", "\ufeff"}


def check_id(value: bytes, field: str, length: int = ID_BYTES) -> bytes:
    if len(value) != length:
        raise _bad(f"{field} has {len(value)} bytes, it needs {length}.")
    return value


def id_from_hex(text: str, field: str, length: int = ID_BYTES) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise _bad(f"{field} is not hexadecimal.") from None
    return check_id(value, field, length)


def id_to_hex(value: bytes) -> str:
    return value.hex()


def check_name(text: str, field: str) -> str:
    """Return the name of an account, computer or job as it is, or refuse it with a sentence that names `field`."""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX:
        raise _bad(f"{field} has {len(text)} characters, it needs 1 to {NAME_CHARACTERS_MAX}.")
    if text != text.strip():
        raise _bad(f"{field} begins or ends with a space.")
    if "/" in text:
        raise _bad(f"{field} contains a slash.")
    for character in text:
        if not character.isprintable() or _reorders(character):
            raise _bad(f"{field} contains the character U+{ord(character):04X}, which cannot be shown.")
    return text


def _reorders(character: str) -> bool:
    return character in _INVISIBLE or unicodedata.bidirectional(character) in _BIDIRECTIONAL


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.bad_request, message)
