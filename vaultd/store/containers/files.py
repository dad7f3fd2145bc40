"""The container files of a disk, by the numbers in their names, and what was kept of containers beside them."""

from collections.abc import Iterator
from pathlib import Path

from vaultd.store.containers.format import SUFFIX
from vaultd.store.disk_door import UNFINISHED_SUFFIX, Door
from vaultd.store.disks.identity import Disk

KEPT_SUFFIX = ".unacknowledged"
_NUMBER_DIGITS = 12


def list_containers(door: Door, disk: Disk) -> Iterator[tuple[int, Path]]:
    """Every container file of a disk."""
    for number, path in _numbered(door, disk):
        if path.name[_NUMBER_DIGITS:] == SUFFIX:
            yield number, path


def taken_numbers(door: Door, disk: Disk) -> set[int]:
    """Of the containers of which a file is here, also one that was kept beside: no other gets such a number."""
    return {number for number, _ in _numbered(door, disk)}


def has_kept_files(door: Door, disk: Disk) -> bool:
    return any(True for _ in list_kept(door, disk))


def list_kept(door: Door, disk: Disk) -> Iterator[Path]:
    """What was kept, or was begun to be kept."""
    for _, path in _numbered(door, disk):
        if path.name.endswith((KEPT_SUFFIX, KEPT_SUFFIX + UNFINISHED_SUFFIX)):
            yield path


def _numbered(door: Door, disk: Disk) -> Iterator[tuple[int, Path]]:
    root = disk.directory("containers")
    for directory in door.listdir(root):
        if not _is_hex(directory, 4):
            continue  # a stray file, or lost+found of a file system
        for name in door.listdir(root / directory):
            if _is_hex(name.partition(".")[0], _NUMBER_DIGITS):
                yield int(name[:_NUMBER_DIGITS], 16), root / directory / name


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and not set(text) - set("0123456789abcdef")
