"""Text from elsewhere made harmless for a terminal: no control, bidirectional or invisible characters get through."""

import os
import re
import unicodedata

# Cc control, Cf format (bidirectional marks, zero width), Cs lone surrogates, Zl and Zp line and paragraph separators.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ESCAPES = re.compile(r"(\\\\|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U00(?:0[0-9a-f]|10)[0-9a-f]{4})")


def escape_text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def escape_path(path: bytes) -> str:
    """A path's bytes for people: bytes that are not UTF-8 as \\xNN, a backslash twice; no two paths look the same."""
    return escape_text(path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace"))


def unescape_path(text: str) -> bytes:
    """The bytes of what `escape_path` shows; ValueError for a backslash that it would not write."""
    parts = _ESCAPES.split(text)  # what is odd is an escape
    if lone := next((part for part in parts[::2] if "\\" in part), None):
        raise ValueError(f"a backslash in {lone!r} is none of \\\\, \\xNN, \\uNNNN and \\UNNNNNNNN")
    return b"".join(_unescaped(part) if at % 2 else os.fsencode(part) for at, part in enumerate(parts))


def _unescaped(escape: str) -> bytes:
    if escape == "\\\\":
        return b"\\"
    number = int(escape[2:], 16)
    return bytes((number,)) if escape[1] == "x" else chr(number).encode()


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    number = ord(character)
    if number < 0x80:  # above, \\xNN is a byte that is no character
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
