"""Bytes that the journal does not acknowledge, kept beside where the journal itself may be too old to say so.

Invariant: what was kept is never written over or removed. A name holds the hash of the bytes, so that other bytes have
another name.
"""

from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from vaultd.store.containers.files import KEPT_SUFFIX, has_kept_files
from vaultd.store.containers.format import BLOCK_BYTES
from vaultd.store.containers.reader import Gap, Stretch, read_trailer, scan
from vaultd.store.disk_door import UNFINISHED_SUFFIX, Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import FormatError
from vaultd.store.record_format import RECORD_BYTES_MAX

_PIECE_BYTES = 8 * 1024 * 1024


def is_sealed(door: Door, path: Path) -> bool:
    """Or may be: what the disk refuses to read is not taken for torn.

    Where a kill ends a write, the last block may be anything that a customer put into a record, also a trailer. So the
    records must lead to the directory and not over it.
    """
    try:
        trailer = read_trailer(door, path, door.size(path))
        return not _lies_in_record(door, path, trailer.directory_offset)
    except FormatError:
        return False
    except OSError:
        return True


def _lies_in_record(door: Door, path: Path, offset: int) -> bool:
    """Whether whole headers, one after the other from the first block on, lead to a record at `offset` or over it.

    In a sealed container none does, and a header that holds lies about no length. With the first damage or refused read
    nobody knows where the next record begins: then it does not, because what was sealed was acknowledged. Who forges a
    trailer can damage nothing before it; at worst a power cut does, and a leftover is kept.
    """
    for item in scan(door, path, Stretch(BLOCK_BYTES, offset + RECORD_BYTES_MAX, with_cid=False)):
        if isinstance(item, Gap):
            return False
        if item.offset + item.header.record_length > offset:
            return True
    return False


def has_more_than_one_group(door: Door, path: Path, start: int) -> bool:
    """Whether whole records go on behind the padding that ends the first group from `start` on.

    A group that ends on a block has no padding, and looks like one with the next.
    """
    position = start
    try:
        for item in scan(door, path, Stretch(start, door.size(path), with_cid=False)):
            if isinstance(item, Gap):
                if item.is_unreadable:
                    return True  # or may be: as of a trailer
                position = item.offset + item.length  # a record behind it may belong to the same group
                continue
            if item.offset != position:
                return True
            position += item.header.record_length
    except OSError:
        return True
    return False


def has_kept(door: Door, disks: Disks) -> bool:
    """Whether something is kept here already: until that is moved away the journal is as much in doubt as it was.

    So is one whose disk does not say.
    """
    try:
        return any(has_kept_files(door, disk) for disk in disks.online) or any(
            name.endswith(KEPT_SUFFIX) for path in disks.copy_directories("journal") for name in door.listdir(path)
        )
    except OSError:
        return True


def keep_container(door: Door, path: Path) -> Path:
    """Renames the file; where the same bytes were kept before, they are enough."""
    beside, is_kept = _place_beside(door, path, path.name, 0)
    if is_kept:
        door.unlink(path)
    else:
        door.rename(path, beside)
    door.fsync_directory(path.parent)
    return beside


def keep_tail(door: Door, path: Path, start: int) -> Path:
    """A durable copy of everything from `start` on; its name says where it was."""
    beside, is_kept = _place_beside(door, path, f"{path.name}.{start:x}", start)
    if not is_kept:
        unfinished = path.with_name(path.name + KEPT_SUFFIX + UNFINISHED_SUFFIX)
        if door.exists(unfinished):
            door.unlink(unfinished)  # of a recovery that did not come to its end: what it copied is still here
        try:
            _copy(door, path, start, unfinished)
            door.rename(unfinished, beside)
        except OSError:
            with suppress(OSError):  # a disk that is full gets its room back
                door.unlink(unfinished)
            raise
    door.fsync_directory(path.parent)
    return beside


def _place_beside(door: Door, path: Path, stem: str, start: int) -> tuple[Path, bool]:
    """Where the bytes from `start` on are kept, and whether they are there already: every byte was read again."""
    digest = _hash(door, path, start)
    beside = path.with_name(f"{stem}.{digest}{KEPT_SUFFIX}")
    if not door.exists(beside):
        return beside, False
    held = _hash(door, beside, 0)
    if held == digest:
        return beside, True
    door.rename(beside, path.with_name(f"{stem}.{held}{KEPT_SUFFIX}"))  # it was damaged since
    return beside, False


def _hash(door: Door, path: Path, start: int) -> str:
    total = blake3()
    handle = door.open_read(path)
    try:
        while piece := door.read(handle, start, _PIECE_BYTES):
            total.update(piece)
            start += len(piece)
    finally:
        door.close(handle)
    return total.hexdigest(length=16)


def _copy(door: Door, path: Path, start: int, new: Path) -> None:
    source, target = door.open_read(path), door.open_new(new)
    try:
        position = start
        while piece := door.read(source, position, _PIECE_BYTES):
            door.pwrite(target, piece, position - start)
            position += len(piece)
        door.fdatasync(target)
    finally:
        door.close(source)
        door.close(target)
