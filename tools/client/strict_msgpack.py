"""msgpack for sealed structures: bytes stay bytes, text is text, and every shape is checked before it is used."""

from typing import Any

import msgpack

from tools.client.record_format import Buffer, IntegrityError, LaterVersion


def pack(value: object) -> bytes:
    """The canonical bytes of a structure."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack_array(data: Buffer, what: str) -> list[Any]:
    """An array without trailing bytes and without extension types; `what` names the structure in the error."""
    value = _unpack(data, what)
    if type(value) is not list:
        raise IntegrityError(f"the {what} is not a msgpack array")
    return value


def unpack_map(data: Buffer, what: str) -> dict[Any, Any]:
    """A map, in the same way."""
    value = _unpack(data, what)
    if type(value) is not dict:
        raise IntegrityError(f"the {what} is not a msgpack map")
    return value


def typed(value: Any, kind: type, field: str) -> Any:
    """The value when it has exactly that type (a bool is no int)."""
    if type(value) is not kind:
        raise IntegrityError(f"{field} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def sized(value: Any, length: int, field: str) -> bytes:
    """The byte string when it has exactly that length."""
    if type(value) is not bytes or len(value) != length:
        raise IntegrityError(f"{field} is not a byte string of {length} bytes")
    return value


def counted(value: Any, lowest: int, highest: int, field: str) -> int:
    """The integer when it is within the bounds."""
    if type(value) is not int or not lowest <= value <= highest:
        raise IntegrityError(f"{field} is not an integer in {lowest}..{highest}")
    return value


def of_version(array: list[Any], version: int, count: int, field: str) -> list[Any]:
    """An array that begins with its version, which is judged first: a later one may have other elements."""
    check_version(array, version, field)
    return elements(array, count, field)


def check_version(array: list[Any], version: int, field: str) -> None:
    if not array or array[0] != version:
        raise LaterVersion(f"the version {array[:1]} of the {field} is unknown to this program: a later one made it")


def elements(value: Any, count: int, field: str) -> list[Any]:
    """The array when it has exactly that many elements."""
    if type(value) is not list or len(value) != count:
        raise IntegrityError(f"{field} is not an array of {count} elements")
    return value


def _unpack(data: Buffer, what: str) -> Any:
    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=False, ext_hook=_refuse_extension, object_pairs_hook=_each_key_once
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise IntegrityError(f"the {what} is not well-formed msgpack: {error}") from None


def _each_key_once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key of a map comes twice")
    return value


def _refuse_extension(code: int, data: bytes) -> None:
    raise ValueError(f"extension type {code} is in no format")
