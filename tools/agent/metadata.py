"""Owner, mode and times of what is restored: owner before mode, because changing it clears bits of the mode."""

import os

from tools.agent.owners import group_number, user_number
from tools.client.manifest import Entry

_SET_ID_BITS = 0o6000
_IS_ROOT = os.geteuid() == 0


def apply_metadata(descriptor: int, entry: Entry) -> None:
    """For files and directories. A set-user-id bit comes back only for root, and only with its owner."""
    mode = entry.mode
    if _IS_ROOT:
        os.fchown(descriptor, *owner_of(entry))
    else:
        mode &= ~_SET_ID_BITS
    os.fchmod(descriptor, mode)
    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))


def apply_link_metadata(name: bytes, directory: int, entry: Entry) -> None:
    """For symbolic links, which have no mode of their own."""
    if _IS_ROOT:
        uid, gid = owner_of(entry)
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=directory, follow_symlinks=False)


def owner_of(entry: Entry) -> tuple[int, int]:
    """By name where this computer knows the name, else by number."""
    uid = user_number(entry.user) if entry.user is not None else None
    gid = group_number(entry.group) if entry.group is not None else None
    return entry.uid if uid is None else uid, entry.gid if gid is None else gid
