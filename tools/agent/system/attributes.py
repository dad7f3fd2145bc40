"""Extended attributes of what is scanned, ACLs and file capabilities among them, as the file system gives them."""

import errno
import os
from typing import Any

from tools.client.manifest import Extra

UNREADABLE, TOO_LARGE = "unreadable", "too large"
# Where a computer enforces them, every file has one from the system; a restore leaves that to the system again.
LEFT_TO_THE_SYSTEM = frozenset({"security.selinux"})
_NONE = (errno.EOPNOTSUPP, errno.ENOSYS)  # of a file system without any
# Of one path: the extras of an entry have room for 16 MiB, holes among them.
ATTRIBUTES_BYTES_MAX = 12 * 1024 * 1024


def place_of(directory: int, name: bytes, path: bytes) -> bytes:
    """A name for calls that take no directory: short however deep it lies, and its last component is not followed."""
    return b"/proc/self/fd/%d/%s" % (directory, name) if directory >= 0 and name else b"/" + path


def read_attributes(place: int | bytes) -> tuple[dict[bytes, bytes], str | None]:
    """Of a descriptor, or of a place whose last component is not followed; and why some are not there, if so. One that
    goes away meanwhile is left out.
    """
    try:
        names = _list(place)
    except OSError as error:
        return {}, None if error.errno in _NONE else UNREADABLE
    found: dict[bytes, bytes] = {}
    left_out = None
    size_bytes = 0
    for name in names:
        if name in LEFT_TO_THE_SYSTEM:
            continue
        try:
            value = _get(place, name)
        except OSError as error:
            left_out = left_out if error.errno == errno.ENODATA else UNREADABLE
            continue
        size_bytes += len(name) + len(value)
        if size_bytes > ATTRIBUTES_BYTES_MAX:
            return found, TOO_LARGE
        found[os.fsencode(name)] = value
    return found, left_out


def attribute_bytes(extras: dict[int, Any] | None) -> int:
    """What the attributes of an entry take in memory, about."""
    attributes: dict[bytes, Any] = (extras or {}).get(Extra.ATTRIBUTES, {})
    return sum(len(name) + len(value) for name, value in attributes.items())


def _list(place: int | bytes) -> list[str]:
    return os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)


def _get(place: int | bytes, name: str) -> bytes:
    if isinstance(place, int):
        return os.getxattr(place, name)
    return os.getxattr(place, name, follow_symlinks=False)
