"""The demo's copy of somebody's files: what the product keeps today, and the count of what it does not."""

import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vaultd.errors import NotFound, VaultError

# rsync says so when some files vanished or may not be read: the copy is then simply smaller.
PARTIAL_COPY = (23, 24)


@dataclass(frozen=True, slots=True)
class NotCopied:
    """Of the source: what a restore brings back on request only, and errors."""

    devices: int
    unreadable: int

    @property
    def text(self) -> str:
        parts = [
            (self.devices, "{} device", "{} devices"),
            (self.unreadable, "{} path that could not be read", "{} paths that could not be read"),
        ]
        return "; ".join((one if count == 1 else many).format(f"{count:,}") for count, one, many in parts if count)


def check_source(source: Path) -> None:
    if not source.is_dir():
        raise NotFound(f"{source} is not a directory", "name one with --source (make demo SOURCE=…)")
    if not any(entry.is_file(follow_symlinks=False) for entry in _walk(source)):
        raise NotFound(f"{source} holds no file", "name a directory with files with --source (make demo SOURCE=…)")


def copy_tree(source: Path, target: Path) -> NotCopied:
    """Directories of the copy may be written by their owner, so that it can be changed and removed; set-user-id bits
    and capabilities come back on request only, so the copy has none.
    """
    target.mkdir()
    words = ["rsync", "-aHAXS", "--no-devices", "--chmod=Du+rwx,Fug-s", "--filter=-x security.capability"]
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
    devices = 0
    for entry in _walk(source):
        if not Path(entry.path).is_relative_to(place):
            devices += stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
    return NotCopied(devices, unreadable)


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

