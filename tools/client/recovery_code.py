"""The recovery code: 20 random bytes as eight groups that a person can write down, each with a check character.

The alphabet leaves out the letters that are read as digits; reading takes them as those digits.
"""

import os

from blake3 import blake3

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_BYTES = 20

_GROUPS = 8
_GROUP_CHARACTERS = 5  # four of content and one check character
_READ_AS = str.maketrans("OIL", "011")


OTHER_CODE_HINT = (
    "check for the right job and computer; a later `vaultctl keyring password --rotate` makes an older code void"
)


class RecoveryCodeError(ValueError):
    """A recovery code was typed wrong; the sentence names the group."""


def generate_recovery_code() -> bytes:
    """A new code."""
    return os.urandom(CODE_BYTES)


def base32_text(data: bytes) -> str:
    """Characters of five bits each, most significant first; the length must be a multiple of five bytes."""
    value = int.from_bytes(data, "big")
    count = len(data) * 8 // 5
    return "".join(ALPHABET[value >> 5 * (count - 1 - i) & 31] for i in range(count))


def base32_bytes(text: str) -> bytes:
    """The reverse of base32_text; another length or a character outside the alphabet is a ValueError."""
    if len(text) % 8:
        raise ValueError(f"{len(text)} characters of five bits are not whole bytes")
    value = 0
    for character in text:
        value = value << 5 | ALPHABET.index(character)
    return value.to_bytes(len(text) * 5 // 8, "big")


def normal_text(text: str) -> str:
    """What a person typed, with case, spaces and mistakable letters settled."""
    return "".join(text.split()).upper().translate(_READ_AS)


def format_recovery_code(code: bytes) -> str:
    """Eight groups of five characters, joined by `-`."""
    if len(code) != CODE_BYTES:
        raise ValueError(f"a recovery code has {CODE_BYTES} bytes, not {len(code)}")
    text = base32_text(code)
    groups = [text[i : i + 4] for i in range(0, len(text), 4)]
    return "-".join(group + _check_character(number, group) for number, group in enumerate(groups))


def parse_recovery_code(text: str) -> bytes:
    """The 20 bytes, wherever hyphens stand; RecoveryCodeError names the first group that is wrong, from 1."""
    characters = normal_text(text).replace("-", "")
    groups = [characters[i : i + _GROUP_CHARACTERS] for i in range(0, len(characters), _GROUP_CHARACTERS)]
    if len(characters) != _GROUPS * _GROUP_CHARACTERS:
        raise RecoveryCodeError(_wrong_length(text, len(characters)))
    for number, group in enumerate(groups):
        if group[-1] != _check_character(number, group[:-1]):
            raise RecoveryCodeError(f"group {number + 1} of the recovery code is wrong")
    try:
        return base32_bytes("".join(group[:-1] for group in groups))
    except ValueError:
        raise RecoveryCodeError(f"a recovery code has only the characters {ALPHABET}") from None


def _wrong_length(text: str, count: int) -> str:
    """Names the group where all eight can be told apart."""
    lengths = [len(group) for group in text.replace("-", " ").split()]
    if len(lengths) == _GROUPS:
        number = next(number for number, length in enumerate(lengths, 1) if length != _GROUP_CHARACTERS)
        return f"group {number} of the recovery code has {lengths[number - 1]} characters, not {_GROUP_CHARACTERS}"
    return f"a recovery code has {_GROUPS * _GROUP_CHARACTERS} letters and digits, this one has {count}"


def _check_character(number: int, characters: str) -> str:
    return ALPHABET[blake3(bytes((number,)) + characters.encode(errors="replace")).digest()[0] & 31]
