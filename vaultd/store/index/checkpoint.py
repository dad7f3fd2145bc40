"""The whole catalog and the table of containers at one journal position, on the first two disks; two are kept
(docs/format.md#checkpoint).

Invariant: a checkpoint is believed only after all of it was read and checked. Threads: any, one write at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct as Layout
from struct import error as StructError

import msgspec
from blake3 import blake3
from msgspec import Struct

from vaultd.checksum import checksum
from vaultd.store.disk_door import UNFINISHED_SUFFIX, Door, Handle, make_directory
from vaultd.store.errors import DiskMissing, FormatError, NewerFormat, NoSpace
from vaultd.store.index_rows import ContainerRow
from vaultd.store.position import Position

KEPT = 2
CONTAINERS_TABLE = "containers"  # beside the tables of the catalog
VERSION = 1
SUFFIX = ".checkpoint"
BLOCK_ROWS_BYTES = 1024 * 1024
BLOCK_BYTES_MAX = 64 * 1024 * 1024
_MAGIC = b"SSB1"
_HEADER_BYTES = 128
_HEADER = Layout("<4sB3s16sI4sQ32sq40s")
_LENGTH = Layout("<I")
_END = Layout("<IQ32s")
_HASH_BYTES = 32
_CONTAINER_NUMBER = Layout(">Q")
_CONTAINER = msgspec.msgpack.Decoder(tuple[bytes, int, bool])
_ROWS = msgspec.msgpack.Decoder(list[tuple[str, bytes, bytes]])

Row = tuple[str, bytes, bytes]


class CheckpointHeader(Struct, frozen=True):
    vault_id: bytes
    position: Position
    created_ns: int


def checkpoint_name(number: int) -> str:
    return f"{number:016x}{SUFFIX}"


def encode_header(header: CheckpointHeader) -> bytes:
    timeline, number, entry_hash = header.position
    head = _HEADER.pack(
        _MAGIC, VERSION, bytes(3), header.vault_id, timeline, bytes(4), number, entry_hash, header.created_ns, bytes(40)
    )
    return head + checksum(head)


def decode_header(data: bytes, path: Path) -> CheckpointHeader:
    if len(data) != _HEADER_BYTES or checksum(data[: _HEADER.size]) != data[_HEADER.size :]:
        raise FormatError("checkpoint header: length or checksum does not hold")
    magic, version, reserved, vault_id, timeline, reserved2, number, entry_hash, created_ns, reserved3 = (
        _HEADER.unpack_from(data)
    )
    if magic != _MAGIC or version != VERSION:
        raise NewerFormat(f"{path}: a checkpoint with magic {magic.hex()} version {version}")
    if any(reserved) or any(reserved2) or any(reserved3):
        raise NewerFormat(f"{path}: a checkpoint whose reserved bytes are not zero")
    return CheckpointHeader(vault_id, Position(timeline, number, entry_hash), created_ns)


def container_rows(containers: Iterable[ContainerRow]) -> Iterator[Row]:
    """What a checkpoint says about containers: a lost file is noticed without index and journal."""
    for row in containers:
        value = msgspec.msgpack.encode((row.disk_id, row.acknowledged_length, row.is_sealed))
        yield CONTAINERS_TABLE, _CONTAINER_NUMBER.pack(row.number), value


def parse_container_row(key: bytes, value: bytes) -> ContainerRow:
    """Indexed length and first entry, which belong to an index, are 0."""
    try:
        disk_id, length, is_sealed = _CONTAINER.decode(value)
        (number,) = _CONTAINER_NUMBER.unpack(key)
    except (msgspec.DecodeError, StructError) as error:
        raise FormatError(f"checkpoint: the container row {key.hex()} is not as it should be: {error}") from None
    return ContainerRow(number, disk_id, length, 0, 0, is_sealed)


def write_checkpoint(
    door: Door, directories: Sequence[Path], header: CheckpointHeader, rows: Iterable[Row], reserve_bytes: int = 0
) -> None:
    """Writes the rows once to every directory, reads them back, and only then lets older checkpoints go.

    Its disk is the journal's too, and may be full: one that fails leaves nothing, and the reserve is not written into.
    """
    if not directories:
        raise DiskMissing("there is no disk to write a checkpoint to: bring one of the first two back")
    name = checkpoint_name(header.position.number)
    besides = [directory / (name + UNFINISHED_SUFFIX) for directory in directories]
    for directory in directories:
        make_directory(door, directory)
        _remove_unfinished(door, directory)
    try:
        _write_files(door, besides, _encode(header, rows), reserve_bytes)
        for beside in besides:
            verify_checkpoint(door, beside)
        for beside in besides:
            door.rename(beside, beside.with_name(name))
            door.fsync_directory(beside.parent)
    except BaseException:
        for directory in directories:
            with suppress(OSError):  # the first error is the one to tell
                _remove_unfinished(door, directory)
        raise
    for directory in directories:
        _remove_old(door, directory, header.position.number)


def read_newest_checkpoint(
    door: Door, directories: Sequence[Path], vault_id: bytes, belongs: Callable[[Position], bool] = lambda _: True
) -> tuple[Position, Iterator[Row]] | None:
    """The newest one that holds, from whichever disk; None if there is none. Passed over is a damaged one, and one
    that does not belong to the journal.
    """
    candidates = {(number, directory) for directory in directories for number in list_checkpoints(door, directory)}
    for number, directory in sorted(candidates, reverse=True):
        path = directory / checkpoint_name(number)
        try:
            header, _ = verify_checkpoint(door, path)
        except (FormatError, OSError):
            continue
        if header.vault_id == vault_id and header.position.number == number and belongs(header.position):
            return header.position, read_rows(door, path)
    return None


def verify_checkpoint(door: Door, path: Path) -> tuple[CheckpointHeader, int]:
    """(header, number of rows) of a checkpoint in which every byte holds."""
    count = sum(1 for _ in read_rows(door, path))
    handle = door.open_read(path)
    try:
        return decode_header(door.read(handle, 0, _HEADER_BYTES), path), count
    finally:
        door.close(handle)


def read_rows(door: Door, path: Path) -> Iterator[Row]:
    """Row by row; damage shows no later than at the end, so check the whole before using a part."""
    handle = door.open_read(path)
    try:
        decode_header(door.read(handle, 0, _HEADER_BYTES), path)
        offset = _HEADER_BYTES
        total = blake3()
        count = 0
        while True:
            (length,) = _LENGTH.unpack(_exactly(door, handle, offset, _LENGTH.size))
            if not length:
                break
            block, digest = _read_block(door, handle, offset + _LENGTH.size, length)
            total.update(digest)
            rows = _decode_rows(block, path)
            yield from rows
            count += len(rows)
            offset += _LENGTH.size + length + _HASH_BYTES
        _, rows_declared, declared = _END.unpack(_exactly(door, handle, offset, _END.size))
        if rows_declared != count or declared != total.digest():
            raise FormatError(f"{path}: the end of the checkpoint does not fit its blocks")
        if door.size(path) != offset + _END.size:
            raise FormatError(f"{path}: bytes follow the end of the checkpoint")
    finally:
        door.close(handle)


def list_checkpoints(door: Door, directory: Path) -> list[int]:
    """Their numbers, ascending."""
    if not door.exists(directory):
        return []
    stems = [name.removesuffix(SUFFIX) for name in door.listdir(directory) if name.endswith(SUFFIX)]
    return sorted(int(stem, 16) for stem in stems if len(stem) == 16 and not set(stem) - set("0123456789abcdef"))


def _encode(header: CheckpointHeader, rows: Iterable[Row]) -> Iterator[bytes]:
    yield encode_header(header)
    total = blake3()
    count = 0
    for block in _blocks(rows):
        body = msgspec.msgpack.encode(block)
        if len(body) > BLOCK_BYTES_MAX:
            raise FormatError(f"checkpoint: a block of {len(body)} bytes is above {BLOCK_BYTES_MAX} bytes")
        digest = blake3(body).digest()
        total.update(digest)
        count += len(block)
        yield _LENGTH.pack(len(body)) + body + digest
    yield _END.pack(0, count, total.digest())


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row[1]) + len(row[2])
        if size >= BLOCK_ROWS_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _write_files(door: Door, paths: Sequence[Path], pieces: Iterator[bytes], reserve_bytes: int) -> None:
    """The same bytes into new files; durable, but for their names."""
    handles: list[Handle] = []
    try:
        for path in paths:
            handles.append(door.open_new(path))
            door.settle_space(path.parent)
        free = {path.parent: door.space(path.parent)[1] for path in paths}
        offset = 0
        for piece in pieces:
            for handle in handles:
                directory = handle.path.parent
                # A file system that tells of what was written only later says that all of `free` is still there.
                _require_room(door, directory, free[directory] - offset, len(piece) + reserve_bytes)
                door.pwrite(handle, piece, offset)
            offset += len(piece)
        for handle in handles:
            door.fdatasync(handle)
    finally:
        for handle in handles:
            door.close(handle)


def _require_room(door: Door, directory: Path, free_bytes_most: int, size_bytes: int) -> None:
    """Asked before each piece: nobody knows how large a checkpoint becomes, and records arrive beside it."""
    free = min(free_bytes_most, door.space(directory)[1])
    if free < size_bytes:
        raise NoSpace(f"{directory} has no room for a checkpoint above the reserve ({free} bytes are free): make room")


def _read_block(door: Door, handle: Handle, offset: int, length: int) -> tuple[bytes, bytes]:
    if length > BLOCK_BYTES_MAX:
        raise FormatError(f"{handle.path}: a block of {length} bytes is above {BLOCK_BYTES_MAX} bytes")
    data = _exactly(door, handle, offset, length + _HASH_BYTES)
    block, digest = data[:length], data[length:]
    if blake3(block).digest() != digest:
        raise FormatError(f"{handle.path}: the block at offset {offset} is damaged")
    return block, digest


def _decode_rows(block: bytes, path: Path) -> list[Row]:
    try:
        return _ROWS.decode(block)
    except msgspec.DecodeError as error:
        raise FormatError(f"{path}: a block is not as it should be: {error}") from None


def _exactly(door: Door, handle: Handle, offset: int, length: int) -> bytes:
    data = door.read(handle, offset, length)
    if len(data) != length:
        raise FormatError(f"{handle.path} ends too early, at offset {offset + len(data)}")
    return data


def _remove_unfinished(door: Door, directory: Path) -> None:
    """What a failure or a crash left."""
    for name in door.listdir(directory):
        if name.endswith(SUFFIX + UNFINISHED_SUFFIX):
            door.unlink(directory / name)


def _remove_old(door: Door, directory: Path, newest: int) -> None:
    """What is above the newest is of another history, and takes the place of none."""
    for number in [number for number in list_checkpoints(door, directory) if number <= newest][:-KEPT]:
        door.unlink(directory / checkpoint_name(number))
    door.fsync_directory(directory)
