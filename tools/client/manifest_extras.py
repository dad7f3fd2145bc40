"""The extras of an entry: known numbers are checked strictly, those of a later version are left out."""

from collections.abc import Callable
from typing import Any

from tools.client.manifest import (
    FLAG_BELOW_UNKNOWN,
    FLAG_NOT_READ,
    FLAG_PARTLY_UNKNOWN,
    FLAGS_KNOWN,
    Extra,
    Kind,
    Windows,
)
from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import counted, elements, sized, typed

_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1
_TIME_MAX = 2**63 - 1

_KINDS = frozenset(Kind)
_KINDS_WITHOUT_ENTRIES = _KINDS - {Kind.DIRECTORY}

_Check = Callable[[Any, str], object]


def decode_extras(raw: Any, kind: int, size: int) -> tuple[dict[int, Any], bool]:
    """The extras that this program knows, and whether there are others; IntegrityError where a known one is wrong."""
    extras, has_unknown = _known(raw, _CHECKS, "extra ")
    windows = extras.get(Extra.WINDOWS)
    if windows is not None:
        extras[Extra.WINDOWS], has_unknown_below = _known(windows, _WINDOWS_CHECKS, f"extra {Extra.WINDOWS:d}.")
        has_unknown = has_unknown or has_unknown_below
    flags = extras.get(Extra.FLAGS, 0)
    if kind == Kind.DIRECTORY and Extra.LINK_SET in extras:
        raise IntegrityError(f"extra {Extra.LINK_SET:d} is on a directory, which has one name only")
    if kind in _KINDS_WITHOUT_ENTRIES and flags & (FLAG_BELOW_UNKNOWN | FLAG_PARTLY_UNKNOWN):
        raise IntegrityError(f"extra {Extra.FLAGS:d} says of something else than a directory that it holds entries")
    if flags & FLAG_NOT_READ and kind in _KINDS and (kind != Kind.FILE or size):
        raise IntegrityError(f"extra {Extra.FLAGS:d} says of something that was stored that it was not read")
    if flags & ~FLAGS_KNOWN:
        extras[Extra.FLAGS], has_unknown = flags & FLAGS_KNOWN, True
    holes = extras.get(Extra.HOLES)
    if holes and holes[-2] + holes[-1] > size:
        raise IntegrityError(f"a hole ends after the {size} bytes of its file")
    return extras, has_unknown


def _known(raw: Any, checks: dict[int, _Check], field: str) -> tuple[dict[int, Any], bool]:
    known = {}
    for number, value in typed(raw, dict, "a map of extras").items():
        check = checks.get(counted(number, 1, _U64_MAX, "the number of an extra"))
        if check is not None:
            check(value, f"{field}{number}")
            known[number] = value
    return known, len(known) < len(raw)


def _check_bytes(value: Any, field: str) -> None:
    typed(value, bytes, field)


def _check_map(value: Any, field: str) -> None:
    typed(value, dict, field)


def _check_number(value: Any, field: str) -> None:
    counted(value, 0, _U64_MAX, field)


def _check_time(value: Any, field: str) -> None:
    counted(value, -_TIME_MAX - 1, _TIME_MAX, field)


def _check_link_set(value: Any, field: str) -> None:
    sized(value, 16, field)


def _check_device(value: Any, field: str) -> None:
    for number in elements(value, 2, field):
        counted(number, 0, _U32_MAX, field)


def _check_attributes(value: Any, field: str) -> None:
    for name, content in typed(value, dict, field).items():
        typed(name, bytes, f"a name in {field}")
        if type(content) is list:
            _check_apart(content, f"value {name!r} of {field}")
        else:
            typed(content, bytes, f"a value in {field}")


def _check_holes(value: Any, field: str) -> None:
    if len(typed(value, list, field)) % 2:
        raise IntegrityError(f"{field} is not made of pairs")
    end = 0
    for i in range(0, len(value), 2):
        offset = counted(value[i], end, _TIME_MAX, f"an offset in {field}")
        end = offset + counted(value[i + 1], 1, _TIME_MAX - offset, f"a length in {field}")


def _check_apart(value: Any, field: str) -> None:
    """Something whose bytes are in the extents, after the entry's own content."""
    size, hash = elements(value, 2, field)
    counted(size, 0, _TIME_MAX, f"the size of {field}")
    sized(hash, 32, f"the hash of {field}")


def _check_streams(value: Any, field: str) -> None:
    for name, stream in typed(value, dict, field).items():
        typed(name, bytes, f"a name in {field}")
        _check_apart(stream, f"alternate stream {name!r}")


_CHECKS: dict[int, _Check] = {
    Extra.LINK_TARGET: _check_bytes,
    Extra.LINK_SET: _check_link_set,
    Extra.DEVICE: _check_device,
    Extra.ATTRIBUTES: _check_attributes,
    Extra.HOLES: _check_holes,
    Extra.CREATION_TIME: _check_time,
    Extra.WINDOWS: _check_map,
    Extra.FLAGS: _check_number,
    Extra.NAMES: _check_number,
}

_WINDOWS_CHECKS: dict[int, _Check] = {
    Windows.SECURITY_DESCRIPTOR: _check_bytes,
    Windows.ATTRIBUTES: _check_number,
    Windows.ALTERNATE_STREAMS: _check_streams,
    Windows.SHORT_NAME: _check_bytes,
    Windows.REPARSE_DATA: _check_bytes,
}
