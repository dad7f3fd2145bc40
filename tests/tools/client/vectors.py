"""Loads the frozen vectors of tests/vectors; hex texts become bytes."""

import json
import re
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "vectors"
_TEXTS = {"password", "text", "fingerprint_text", "tls_private_pem", "content"}


def load(name):
    """One file as plain values."""
    return _bytes_of(json.loads((_FOLDER / f"{name}.json").read_text("utf-8")))


def _bytes_of(value, field=""):
    if isinstance(value, dict):
        return {name: _bytes_of(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_bytes_of(item, field) for item in value]
    if isinstance(value, str) and field not in _TEXTS and re.fullmatch("([0-9a-f]{2})*", value):
        return bytes.fromhex(value)
    return value
