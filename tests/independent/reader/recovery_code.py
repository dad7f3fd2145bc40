"""The recovery code as it is written: 8 groups of 4 characters and a check character."""

from __future__ import annotations

from .hashing import plain

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def parse_recovery_code(text: str) -> bytes:
    """The 20 bytes; ValueError names the group that is wrong."""
    compact = "".join(text.upper().split()).replace("-", "")
    compact = compact.replace("O", "0").replace("I", "1").replace("L", "1")
    if len(compact) != 40:
        raise ValueError(f"a recovery code has 40 characters, this one {len(compact)}")
    value = 0
    for number in range(8):
        group, check = compact[number * 5 : number * 5 + 4], compact[number * 5 + 4]
        if check_character(number, group) != check or not set(group) <= set(ALPHABET):
            raise ValueError(f"group {number + 1} of the recovery code is wrong")
        for character in group:
            value = value << 5 | ALPHABET.index(character)
    return value.to_bytes(20, "big")


def check_character(number: int, group: str) -> str:
    return ALPHABET[plain(bytes([number]) + group.encode("utf-8"))[0] & 31]
