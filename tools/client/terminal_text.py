"""Text from elsewhere made harmless for a terminal: no control, bidirectional or invisible characters get through."""

import unicodedata

# Cc control, Cf format (bidirectional marks, zero width), Cs lone surrogates, Zl and Zp line and paragraph separators.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def escape_text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def escape_path(path: bytes) -> str:
    """A path's bytes for people; bytes that are not UTF-8 show as \\xNN."""
    return escape_text(path.decode("utf-8", "backslashreplace"))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
