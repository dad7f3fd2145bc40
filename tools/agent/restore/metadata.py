"""Owner, mode, extended attributes and times of what is restored.

Owner before mode and capabilities, because changing it clears them; ACLs before mode, so that nobody is let in between.
The mode comes last: with it a directory loses the mark that it is not finished.
What cannot be set is left: no file system's refusal is worth the content. The answers tell what was not set.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Any

from tools.agent.system.attributes import LEFT_TO_THE_SYSTEM, read_attributes
from tools.agent.system.owners import group_number, user_number
from tools.client.manifest import Entry, Extra, Kind

METADATA_NOT_SET = "metadata not set"
ATTRIBUTES_NOT_SET = "extended attributes not set"
RIGHTS_LEFT_OUT = "set-user-id, set-group-id or capabilities left out (--privileged)"
CAPABILITIES = b"security.capability"

_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_AFTER_THE_OWNER = (*_ACLS, CAPABILITIES)
_ACL_ENTRY = Layout("<HHI")  # tag, rights, number of a user or group; four bytes of a version before all
_ACL_GROUP = 4
_NOT_RESTORED = frozenset(map(os.fsencode, LEFT_TO_THE_SYSTEM))
_SET_ID_BITS = 0o6000
_UNCHANGED = 2**32 - 1  # to the system this number means: leave the owner as it is
_IS_ROOT = os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class Rights:
    """`is_privileged`: the person asked for what gives a program more rights than who starts it, and for devices."""

    is_privileged: bool = False

    def mode_of(self, entry: Entry) -> int:
        """On a directory these bits only say who owns what comes into it."""
        if self.is_privileged or entry.kind == Kind.DIRECTORY:
            return entry.mode
        return entry.mode & ~_SET_ID_BITS

    def leaves_out(self, entry: Entry) -> bool:
        return self.mode_of(entry) != entry.mode or (not self.is_privileged and CAPABILITIES in attributes_of(entry))


def attributes_of(entry: Entry) -> dict[bytes, Any]:
    """Those that a restore sets: some are the system's, or its own."""
    attributes: dict[bytes, Any] | None = (entry.extras or {}).get(Extra.ATTRIBUTES)
    if not attributes:
        return {}
    return {name: value for name, value in attributes.items() if name not in _NOT_RESTORED}


def apply_metadata(descriptor: int, entry: Entry, rights: Rights) -> list[str]:
    """For files and directories. A set-user-id bit comes back only for root, and only with its owner."""
    attributes = attributes_of(entry)
    has_attributes = _set_attributes(descriptor, attributes, lambda name: name not in _AFTER_THE_OWNER)
    is_owned = _IS_ROOT and _gives_owner(os.fchown, descriptor, entry)
    has_acls = _set_attributes(
        descriptor, attributes, lambda name: name in _ACLS or (name == CAPABILITIES and rights.is_privileged)
    ) and _remove_other_acls(descriptor, attributes)
    mode = rights.mode_of(entry)
    if not is_owned:
        mode &= ~_SET_ID_BITS
    has_time = _succeeds(os.utime, descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    has_mode = _succeeds(os.fchmod, descriptor, _safe_mode(mode, attributes, are_set=has_acls))
    is_set = has_mode and has_time and has_access(os.fstat(descriptor), entry, rights)
    return _codes(entry, rights, is_set=is_set, has_attributes=has_attributes and has_acls)


def complete_metadata(descriptor: int, entry: Entry, rights: Rights) -> list[str]:
    """For a file that was just made, which nobody can reach yet: what it was made with is not set again."""
    is_made_so = has_access(os.fstat(descriptor), entry, rights) and not _acls_of(descriptor)
    if is_made_so and not attributes_of(entry):
        has_time = _succeeds(os.utime, descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        return _codes(entry, rights, is_set=has_time, has_attributes=True)
    return apply_metadata(descriptor, entry, rights)


def apply_node_metadata(descriptor: int, entry: Entry, rights: Rights) -> list[str]:
    """For what is not opened, by a descriptor of its place: links, which have no mode of their own, FIFOs, sockets and
    devices.
    """
    place = b"/proc/self/fd/%d" % descriptor
    is_link = entry.kind == Kind.SYMBOLIC_LINK
    if _IS_ROOT:
        _gives_owner(os.chown, place, entry)
    attributes = attributes_of(entry)
    are_set = _set_attributes(place, attributes, lambda name: name != CAPABILITIES or rights.is_privileged)
    are_set = (is_link or _remove_other_acls(place, attributes)) and are_set
    has_mode = is_link or _succeeds(os.chmod, place, _safe_mode(rights.mode_of(entry), attributes, are_set=are_set))
    has_time = _succeeds(os.utime, place, ns=(entry.mtime_ns, entry.mtime_ns))
    is_set = has_mode and has_time and has_access(os.fstat(descriptor), entry, rights)
    return _codes(entry, rights, is_set=is_set, has_attributes=are_set)


def apply_time_and_mode(descriptor: int, entry: Entry, rights: Rights) -> list[str]:
    """For a directory that was there as it should be, and got another time, and its mark, from what came into it."""
    _succeeds(os.utime, descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
    _succeeds(os.fchmod, descriptor, rights.mode_of(entry))
    return [] if has_metadata(os.fstat(descriptor), entry, rights) else [METADATA_NOT_SET]


def has_metadata(status: os.stat_result, entry: Entry, rights: Rights) -> bool:
    """Whether what is there has owner, mode and time of the entry."""
    return status.st_mtime_ns == entry.mtime_ns and has_access(status, entry, rights)


def has_access(status: os.stat_result, entry: Entry, rights: Rights) -> bool:
    """Of a symbolic link only the owner: it has no mode of its own."""
    has_mode = entry.kind == Kind.SYMBOLIC_LINK or stat.S_IMODE(status.st_mode) == rights.mode_of(entry)
    return has_mode and has_owner(status, entry)


def has_owner(status: os.stat_result, entry: Entry) -> bool:
    return (status.st_uid, status.st_gid) == owner_of(entry)


def has_attributes(place: bytes, entry: Entry, rights: Rights) -> bool:
    """Whether what is at a place has what of the entry's attributes can come back."""
    wanted = {name: value for name, value in attributes_of(entry).items() if type(value) is bytes}
    if not rights.is_privileged:
        wanted.pop(CAPABILITIES, None)
    return read_attributes(place)[0] == wanted


def owner_of(entry: Entry) -> tuple[int, int]:
    """By name where this computer knows the name, else by number."""
    uid = user_number(entry.user) if entry.user is not None else None
    gid = group_number(entry.group) if entry.group is not None else None
    return entry.uid if uid is None else uid, entry.gid if gid is None else gid


def _codes(entry: Entry, rights: Rights, *, is_set: bool, has_attributes: bool) -> list[str]:
    found = [] if is_set else [METADATA_NOT_SET]
    found += [] if has_attributes else [ATTRIBUTES_NOT_SET]
    return found + ([RIGHTS_LEFT_OUT] if rights.leaves_out(entry) else [])


def _set_attributes(place: int | bytes, attributes: dict[bytes, Any], is_wanted: Callable[[bytes], bool]) -> bool:
    """Values that lie apart are larger than any that this system takes."""
    wanted = [(name, value) for name, value in attributes.items() if is_wanted(name)]
    results = [type(value) is bytes and _succeeds(os.setxattr, place, name, value) for name, value in wanted]
    return all(results)


def _remove_other_acls(place: int | bytes, attributes: dict[bytes, Any]) -> bool:
    """What it got from the directory that it was made in."""
    return all([_succeeds(os.removexattr, place, name) for name in _acls_of(place) - attributes.keys()])


def _acls_of(place: int | bytes) -> set[bytes]:
    try:
        return {*map(os.fsencode, os.listxattr(place))} & {*_ACLS}
    except OSError:
        return set()


def _safe_mode(mode: int, attributes: dict[bytes, Any], *, are_set: bool) -> int:
    """With an ACL the group's bits of a mode are its mask: without it they would be rights that the group has not."""
    acl = attributes.get(_ACLS[0])
    if acl is None or are_set or type(acl) is not bytes:
        return mode
    entries = _ACL_ENTRY.iter_unpack(acl[4:]) if len(acl) % _ACL_ENTRY.size == 4 else ()
    rights = next((right for tag, right, _ in entries if tag == _ACL_GROUP), 0)
    return mode & (~0o070 | rights << 3)


def _gives_owner(call: Callable[..., None], what: int | bytes, entry: Entry, **settings: Any) -> bool:
    owner = owner_of(entry)
    return _UNCHANGED not in owner and _succeeds(call, what, *owner, **settings)


def _succeeds(call: Callable[..., None], *arguments: Any, **settings: Any) -> bool:
    """OverflowError: a number of the manifest that this system has no room for; ValueError: a name with a zero byte."""
    try:
        call(*arguments, **settings)
    except (OSError, OverflowError, ValueError):
        return False
    return True
