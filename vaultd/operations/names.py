"""Which names accounts, computers and jobs may have: they are shown on terminals and stand in paths and mails."""

import unicodedata

from vaultd.errors import BadRequest

CHARACTERS_MAX = 64
# Control characters, format characters (the bidirectional overrides among them), surrogates, unassigned, line and
# paragraph separators.
REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def check_name(text: str, field: str) -> str:
    """The name itself; BadRequest names the field and the rule."""
    if not 1 <= len(text) <= CHARACTERS_MAX:
        raise BadRequest(f"{field} must have 1 to {CHARACTERS_MAX} characters, not {len(text)}", _hint(field))
    if text != text.strip():
        raise BadRequest(f"{field} must not begin or end with a space", _hint(field))
    if "/" in text or any(unicodedata.category(character) in REFUSED_CATEGORIES for character in text):
        raise BadRequest(f"{field} may hold printable characters only, and no /", _hint(field))
    return text


def _hint(field: str) -> str:
    return f"choose another {field}: letters, digits, `-`, `_`, `.` and spaces between are always good"
