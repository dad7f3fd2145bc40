"""Extended attributes of what is scanned, ACLs and file capabilities among them, as the file system gives them."""

import errno
import os

# Where a computer enforces them, every file has one from the system; a restore leaves that to the system again.
_SYSTEM_ATTRIBUTES = frozenset({"security.selinux"})
_NONE = (errno.EOPNOTSUPP, errno.ENOSYS)  # of a file system without any
# Of one path: the extras of an entry have room for 16 MiB, holes among them.
ATTRIBUTES_BYTES_MAX = 12 * 1024 * 1024


class AttributesTooLarge(ValueError):
    """A path has more than an entry takes."""


def place_of(directory: int, name: bytes, path: bytes) -> bytes:
    """A name for calls that take no directory: short however deep it lies, and its last component is not followed."""
    return b"/proc/self/fd/%d/%s" % (directory, name) if directory >= 0 and name else b"/" + path


def read_attributes(place: int | bytes) -> dict[bytes, bytes]:
    """Of a descriptor, or of a place whose last component is not followed; one that goes away meanwhile is left out.
    AttributesTooLarge, or OSError where the file system refuses.
    """
    try:
        names = _list(place)
    except OSError as error:
        if error.errno in _NONE:
            return {}
        raise
    found: dict[bytes, bytes] = {}
    size_bytes = 0
    for name in names:
        if name in _SYSTEM_ATTRIBUTES:
            continue
        value = _get(place, name)
        if value is None:
            continue
        found[os.fsencode(name)] = value
        size_bytes += len(name) + len(value)
        if size_bytes > ATTRIBUTES_BYTES_MAX:
            raise AttributesTooLarge(f"its extended attributes have more than {ATTRIBUTES_BYTES_MAX} bytes")
    return found


def _list(place: int | bytes) -> list[str]:
    return os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)


def _get(place: int | bytes, name: str) -> bytes | None:
    try:
        if isinstance(place, int):
            return os.getxattr(place, name)
        return os.getxattr(place, name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise
