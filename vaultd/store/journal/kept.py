"""What of the journal is kept beside: no reader takes it for journal, and only an operator moves it away.

Invariant: nothing is written over that has other bytes. Threads: the writer thread only.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from blake3 import blake3

from vaultd.store.containers.files import KEPT_SUFFIX
from vaultd.store.disk_door import Door, write_file

FORKED = ".forked."
UNREAD = ".unread."


def is_forked(door: Door, directories: Iterable[Path]) -> bool:
    """Whether a copy of another history still lies beside: what it acknowledged must not be cut meanwhile."""
    return any(FORKED in name for path in directories if door.exists(path) for name in door.listdir(path))


def list_kept_segments(door: Door, directories: Iterable[Path]) -> Iterator[Path]:
    """Every file that lies beside the segments for one of these reasons."""
    for directory in directories:
        for name in sorted(door.listdir(directory)) if door.exists(directory) else ():
            if FORKED in name or UNREAD in name or name.endswith(KEPT_SUFFIX):
                yield directory / name


def keep_forked(door: Door, path: Path, data: bytes) -> str:
    """Under a name that its bytes give, so that it replaces only the same bytes."""
    return _rename(door, path, f"{path.name}{FORKED}{blake3(data).hexdigest(length=16)}")


def keep_unread(door: Door, path: Path) -> str:
    """Under the first free name, because nobody can say what its bytes are."""
    names = (f"{path.name}{UNREAD}{number}" for number in count(1))
    return _rename(door, path, next(name for name in names if not door.exists(path.with_name(name))))


def keep_whole(door: Door, path: Path, data: bytes) -> str:
    """The file itself, under the name that `keep_tail` would give to a copy of all of it."""
    return _rename(door, path, f"{path.name}.0.{blake3(data).hexdigest(length=16)}{KEPT_SUFFIX}")


def keep_tail(door: Door, path: Path, data: bytes, start: int) -> str:
    """A copy of what follows `start`."""
    name = f"{path.name}.{start:x}.{blake3(data[start:]).hexdigest(length=16)}{KEPT_SUFFIX}"
    write_file(door, path.with_name(name), data[start:])
    return name


def _rename(door: Door, path: Path, name: str) -> str:
    door.rename(path, path.with_name(name))
    door.fsync_directory(path.parent)
    return name
