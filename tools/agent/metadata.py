"""Owner, mode and times of what is restored: owner before mode, because changing it clears bits of the mode.

What cannot be set is left: no file system's refusal is worth the content. The answers tell whether all of it was set.
"""

import os
from collections.abc import Callable
from typing import Any

from tools.agent.owners import group_number, user_number
from tools.client.manifest import Entry

_SET_ID_BITS = 0o6000
_UNCHANGED = 2**32 - 1  # to the system this number means: leave the owner as it is
_IS_ROOT = os.geteuid() == 0


def apply_metadata(descriptor: int, entry: Entry) -> bool:
    """For files and directories. A set-user-id bit comes back only for root, and only with its owner."""
    is_owned = _IS_ROOT and _gives_owner(os.fchown, descriptor, entry)
    mode = entry.mode if is_owned else entry.mode & ~_SET_ID_BITS
    has_mode = _succeeds(os.fchmod, descriptor, mode)
    has_time = _succeeds(os.utime, descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    return has_mode and has_time and has_access(os.fstat(descriptor), entry)


def has_metadata(status: os.stat_result, entry: Entry) -> bool:
    """Whether what is there has owner, mode and time of the entry."""
    return status.st_mtime_ns == entry.mtime_ns and has_access(status, entry)


def has_access(status: os.stat_result, entry: Entry) -> bool:
    return status.st_mode & 0o7777 == entry.mode and (status.st_uid, status.st_gid) == owner_of(entry)


def apply_link_metadata(name: bytes, directory: int, entry: Entry) -> bool:
    """For symbolic links, which have no mode of their own."""
    place: dict[str, Any] = {"dir_fd": directory, "follow_symlinks": False}
    is_owned = not _IS_ROOT or _gives_owner(os.chown, name, entry, **place)
    has_time = _succeeds(os.utime, name, ns=(entry.mtime_ns, entry.mtime_ns), **place)
    return is_owned and has_time


def owner_of(entry: Entry) -> tuple[int, int]:
    """By name where this computer knows the name, else by number."""
    uid = user_number(entry.user) if entry.user is not None else None
    gid = group_number(entry.group) if entry.group is not None else None
    return entry.uid if uid is None else uid, entry.gid if gid is None else gid


def _gives_owner(call: Callable[..., None], what: int | bytes, entry: Entry, **settings: Any) -> bool:
    owner = owner_of(entry)
    return _UNCHANGED not in owner and _succeeds(call, what, *owner, **settings)


def _succeeds(call: Callable[..., None], *arguments: Any, **settings: Any) -> bool:
    """OverflowError: a number of the manifest that this system has no room for."""
    try:
        call(*arguments, **settings)
    except (OSError, OverflowError):
        return False
    return True
