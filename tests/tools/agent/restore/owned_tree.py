"""A tree whose modes, owners and attributes make a restore of it hard to finish, and how one looks."""

import os
import stat
import struct
from pathlib import Path

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def acl(mask: int) -> bytes:
    nobody = 2**32 - 1
    entries = [(1, 7, nobody), (2, 6, 12345), (4, 5, nobody), (16, mask, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


def write_tree(source: Path, owner: int) -> None:
    """Modes that close a directory to its owner, or open it to all; names in several of them; the times last."""
    for name in ("closed", "open", "read-only/below", "shared", "names", "empty"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(name.encode())
    (source / "empty/file").unlink()
    os.link(source / "closed/file", source / "names/other")
    (source / "open/link").symlink_to("file")
    os.mkfifo(source / "read-only/fifo")
    os.setxattr(source / "shared", "user.note", b"kept")
    os.setxattr(source / "shared", DEFAULT, acl(5))
    os.setxattr(source / "shared", ACCESS, acl(7))
    everything = [source, *source.rglob("*")]
    for path in everything:
        os.chown(path, owner, owner, follow_symlinks=False)
    if not owner:
        os.chown(source / "shared", 4711, 4712)
        os.chown(source / "open/file", 4711, 4712)
    modes = {"closed": 0o700, "open": 0o1777, "read-only": 0o500, "read-only/below": 0o555, "empty": 0o711}
    for name, mode in modes.items():
        (source / name).chmod(mode)
    if not owner:
        (source / "shared").chmod(0o2770)
    for number, path in enumerate(sorted(everything, reverse=True)):
        os.utime(path, ns=(1, 1_500_000_000_000_000_000 + number), follow_symlinks=False)


def prepare_older(restored_source: Path) -> None:
    """Directories of others, older and open, in which nothing is."""
    for name in ("closed", "read-only/below", "shared"):
        (restored_source / name).mkdir(parents=True)
    for path in sorted(restored_source.rglob("*"), reverse=True):
        path.chmod(0o777)
        os.chown(path, 4713, 4713)
        os.utime(path, ns=(1, 1))
    os.utime(restored_source, ns=(1, 1))


def described(root: Path) -> dict[str, tuple[object, ...]]:
    """By path: mode, owners, time, content, attributes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        facts = status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, attributes
        found[str(path.relative_to(root))] = facts
    return found
