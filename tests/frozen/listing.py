"""What is in a tree, as the system says it: everything that a safeset keeps of it, ready for JSON."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket", stat.S_IFCHR: "character device", stat.S_IFBLK: "block device",
}  # fmt: skip

Listing = dict[str, dict[str, Any]]


def list_tree(root: os.PathLike[str], at: os.PathLike[str] | None = None) -> Listing:
    """By the path that an entry has, with `root` and all below it; `at` is where the tree lies now."""
    top = os.fsencode(root)
    place = top if at is None else os.fsencode(at)
    found = {top: _described(place)}
    for directory, names, files in os.walk(place):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            found[top + path[len(place) :]] = _described(path)
    return {os.fsdecode(path).lstrip("/"): found[path] for path in sorted(found)}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _described(path: bytes) -> dict[str, Any]:
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    described: dict[str, Any] = {
        "kind": kind, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
    }  # fmt: skip
    if kind == "file":
        described |= _content(path, status)
    if kind == "link":
        described["target"] = os.fsdecode(os.readlink(path))
    if "device" in kind:
        described["device"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    if kind != "directory" and status.st_nlink > 1:
        described |= {"names": status.st_nlink, "set": status.st_ino}
    attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attribute_names(path)}
    if attributes:
        described["attributes"] = {name: [len(value), digest(value)] for name, value in sorted(attributes.items())}
    return described


def _attribute_names(path: bytes) -> list[str]:
    return [name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux"]


def _content(path: bytes, status: os.stat_result) -> dict[str, Any]:
    with open(path, "rb") as file:
        described = {"size": status.st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        holes = _holes(file.fileno(), status.st_size)
    return described | ({"holes": holes} if holes else {})


def _holes(descriptor: int, size: int) -> list[list[int]]:
    found, at = [], 0
    while at < size:
        hole = os.lseek(descriptor, at, os.SEEK_HOLE)
        if hole >= size:
            break
        try:
            at = os.lseek(descriptor, hole, os.SEEK_DATA)
        except OSError:
            at = size
        found.append([hole, at - hole])
    return found
