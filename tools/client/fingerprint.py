"""The fingerprint of an agent's keys, or of a creator's, as people compare and type it."""

from tools.client.recovery_code import base32_bytes, base32_text, normal_text

FINGERPRINT_BYTES = 20

_GROUP_CHARACTERS = 4
_FINGERPRINT_CHARACTERS = 32


def fingerprint_text(value: bytes) -> str:
    """The text form of the 20 bytes."""
    text = base32_text(value)
    return "-".join(text[i : i + _GROUP_CHARACTERS] for i in range(0, len(text), _GROUP_CHARACTERS))


def parse_fingerprint(text: str) -> bytes:
    """What a person typed or pinned; ValueError when it is no fingerprint."""
    characters = normal_text(text).replace("-", "")
    try:
        value = base32_bytes(characters)
    except ValueError:
        value = b""
    if len(characters) != _FINGERPRINT_CHARACTERS or len(value) != FINGERPRINT_BYTES:
        raise ValueError(f"an agent key's fingerprint has {_FINGERPRINT_CHARACTERS} characters in groups of four")
    return value
