"""Bytes that the journal does not acknowledge, kept beside where the journal itself may be too old to say so."""

from pathlib import Path

from vaultd.store.container_reader import read_trailer
from vaultd.store.disk_door import Door
from vaultd.store.errors import FormatError

UNACKNOWLEDGED_SUFFIX = ".unacknowledged"
_PIECE_BYTES = 8 * 1024 * 1024


def is_sealed(door: Door, path: Path) -> bool:
    try:
        read_trailer(door, path, door.size(path))
    except (FormatError, OSError):
        return False
    return True


def keep_tail(door: Door, path: Path, start: int) -> Path:
    """A durable copy of everything from `start` on; its name says where it was."""
    beside = path.with_name(f"{path.name}.{start:x}{UNACKNOWLEDGED_SUFFIX}")
    if door.exists(beside):
        door.unlink(beside)  # of a recovery that did not come to its end: what it copied is still here
    source, target = door.open_read(path), door.open_new(beside)
    try:
        position = start
        while piece := door.read(source, position, _PIECE_BYTES):
            door.pwrite(target, piece, position - start)
            position += len(piece)
        door.fdatasync(target)
    finally:
        door.close(source)
        door.close(target)
    door.fsync_directory(path.parent)
    return beside
