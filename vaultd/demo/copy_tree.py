"""The demo's copy of somebody's files: what the product keeps today, and the count of what it does not."""

import os
import stat
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vaultd.errors import NotFound, VaultError

# rsync says so when some files vanished or may not be read: the copy is then simply smaller.
PARTIAL_COPY = (23, 24)
# Set by the system on every file and copied by nobody.
SYSTEM_ATTRIBUTES = ("security.selinux",)


@dataclass(frozen=True, slots=True)
class NotCopied:
    """Of the source: names beyond the first of a file, paths with attributes or ACLs, sockets and the like, errors."""

    hard_links: int
    attributes: int
    special_files: int
    unreadable: int

    @property
    def text(self) -> str:
        parts = [
            (self.hard_links, "{} hard link (is a file of its own)", "{} hard links (are files of their own)"),
            (self.attributes, "extended attributes or ACL of {} path", "extended attributes or ACLs of {} paths"),
            (self.special_files, "{} socket, pipe or device", "{} sockets, pipes or devices"),
            (self.unreadable, "{} path that could not be read", "{} paths that could not be read"),
        ]
        return "; ".join((one if count == 1 else many).format(f"{count:,}") for count, one, many in parts if count)


def check_source(source: Path) -> None:
    if not source.is_dir():
        raise NotFound(f"{source} is not a directory", "name one with --source (make demo SOURCE=…)")
    if not any(entry.is_file(follow_symlinks=False) for entry in _walk(source)):
        raise NotFound(f"{source} holds no file", "name a directory with files with --source (make demo SOURCE=…)")


def copy_tree(source: Path, target: Path) -> NotCopied:
    """Directories of the copy may be written by their owner, so that it can be changed and removed."""
    target.mkdir()
    words = ["rsync", "-a", "--no-devices", "--no-specials", "--chmod=Du+rwx"]
    source, place = source.resolve(), target.parent
    # The demo's own directory may lie in the source, for instance in /tmp.
    words += [f"--exclude=/{place.relative_to(source)}/"] if place.is_relative_to(source) else []
    done = subprocess.run([*words, f"{source}/", f"{target}/"], capture_output=True, text=True, check=False)
    problems = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode not in (0, *PARTIAL_COPY):
        raise VaultError(f"{source} could not be copied: {problems[-1] if problems else done.returncode}")
    # The last line sums up.
    return _not_copied(source, place, max(0, len(problems) - 1))


def _not_copied(source: Path, place: Path, unreadable: int) -> NotCopied:
    names: Counter[tuple[int, int]] = Counter()
    attributes = special_files = 0
    for entry in _walk(source):
        if Path(entry.path).is_relative_to(place):
            continue
        status = entry.stat(follow_symlinks=False)
        is_file = stat.S_ISREG(status.st_mode)
        if is_file and status.st_nlink > 1:
            names[status.st_dev, status.st_ino] += 1
        special_files += not is_file and stat.S_IFMT(status.st_mode) not in (stat.S_IFDIR, stat.S_IFLNK)
        attributes += _has_attributes(entry.path)
    return NotCopied(names.total() - len(names), attributes, special_files, unreadable)


def _walk(folder: Path) -> "list[os.DirEntry[str]]":
    """Everything below; what may not be listed is empty."""
    found, waiting = [], [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                here = list(entries)
        except OSError:
            continue
        found += here
        waiting += [entry.path for entry in here if entry.is_dir(follow_symlinks=False)]
    return found


def _has_attributes(path: str) -> bool:
    try:
        return any(name not in SYSTEM_ATTRIBUTES for name in os.listxattr(path, follow_symlinks=False))
    except OSError:
        return False
