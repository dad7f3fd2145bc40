"""Answers of the vault as documents for `--json`: ids in hexadecimal, times in UTC, names as they are."""

from typing import Any

import msgspec

from tools.client.units import time_json

_TIME_SUFFIX = "_ns"


def document_of(answer: msgspec.Struct) -> dict[str, Any]:
    """Every field of a message; `x_ns` becomes `x`, a text, or null where it did not happen."""
    document = {}
    for name in answer.__struct_fields__:
        value = getattr(answer, name)
        if name.endswith(_TIME_SUFFIX):
            document[name.removesuffix(_TIME_SUFFIX)] = time_json(value)
        else:
            document[name] = json_value(value)
    return document


def path_text(path: bytes) -> str:
    """A path as JSON can carry it; bytes that are not UTF-8 show as \\xNN."""
    return path.decode("utf-8", "backslashreplace")


def json_value(value: Any) -> Any:
    """As JSON can carry it; bytes are hex digits."""
    match value:
        case bytes():
            return value.hex()
        case msgspec.Struct():
            return document_of(value)
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {str(key): json_value(item) for key, item in value.items()}
        case _:
            return value
