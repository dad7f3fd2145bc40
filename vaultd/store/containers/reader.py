"""Reads containers: one record by its place, or all of them in order with what does not belong there.

Threads: any; nothing is shared. A scan holds one window in memory, never a whole container.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from vaultd.store.containers.format import (
    BLOCK_BYTES,
    DIRECTORY_MAGIC,
    PADDING_HEADER_BYTES,
    PADDING_MAGIC,
    ContainerHeader,
    DirectoryRow,
    Trailer,
    decode_directory,
    decode_header,
    decode_padding,
    decode_trailer,
    encode_padding_to_boundary,
)
from vaultd.store.disk_door import Handle, ReadingDoor
from vaultd.store.errors import FormatError, NewerFormat, NewerRecord, RecordDamaged, RecordError
from vaultd.store.record_format import (
    COMPANION_MAGIC,
    HEADER_BYTES,
    SEALED_MAGIC,
    RecordHeader,
    check_companion,
    cid,
    parse_header,
    parse_record,
)

_WINDOW_BYTES = 8 * 1024 * 1024
_MAGICS = (SEALED_MAGIC, COMPANION_MAGIC, PADDING_MAGIC)


class ScannedRecord(Struct, frozen=True):
    offset: int
    header: RecordHeader
    cid: bytes  # empty where the scan read no bodies


class Gap(Struct, frozen=True):
    """Bytes between records that are neither record nor padding."""

    offset: int
    length: int
    sentence: str
    is_unreadable: bool = False  # the disk refused it: what lies there may be good


class RecordPlace(Struct, frozen=True):
    path: Path
    offset: int
    length: int


class ExpectedRecord(Struct, frozen=True):
    id: bytes
    cid_prefix: bytes


def read_record(door: ReadingDoor, place: RecordPlace, expected: ExpectedRecord) -> bytes:
    """The record, its cid checked; a failed check is repeated with bytes from the disk before it counts."""
    handle = door.open_read(place.path)
    try:
        record = door.read(handle, place.offset, place.length)
        if _fault(record, expected):
            door.drop_cache(handle, place.offset, place.length)
            record = door.read(handle, place.offset, place.length)
            if fault := _fault(record, expected):
                where = f"{place.path} at offset {place.offset}, {place.length} bytes"
                raise RecordDamaged(f"record {expected.id.hex()} in {where} is damaged: {fault}")
        return record
    finally:
        door.close(handle)


def read_header(door: ReadingDoor, path: Path) -> ContainerHeader:
    return decode_header(_read_range(door, path, 0, BLOCK_BYTES), path)


def read_trailer(door: ReadingDoor, path: Path, length: int) -> Trailer:
    """Of a sealed container of this length; its directory lies where the trailer says."""
    trailer = decode_trailer(_read_range(door, path, max(length - BLOCK_BYTES, 0), BLOCK_BYTES))
    end = trailer.directory_offset + trailer.directory_length
    if trailer.directory_offset % BLOCK_BYTES or end > length - BLOCK_BYTES:
        raise FormatError(f"container trailer: directory_offset {trailer.directory_offset} does not fit")
    return trailer


def read_directory(door: ReadingDoor, path: Path, length: int) -> list[DirectoryRow]:
    trailer = read_trailer(door, path, length)
    rows = decode_directory(_read_range(door, path, trailer.directory_offset, trailer.directory_length))
    if len(rows) != trailer.records:
        raise FormatError(f"container trailer: records {trailer.records} does not fit its directory")
    return rows


def check_directory_padding(door: ReadingDoor, path: Path, length: int) -> None:
    """Between directory and trailer lies one padding record and nothing else."""
    trailer = read_trailer(door, path, length)
    end = trailer.directory_offset + trailer.directory_length
    if _read_range(door, path, end, length - BLOCK_BYTES - end) != encode_padding_to_boundary(end):
        raise FormatError(f"container directory: the padding behind it, at offset {end}, is damaged")


class Stretch(Struct, frozen=True):
    """From one place that begins a record or a padding to another. Without `with_cid` no body is read."""

    start: int
    end: int
    with_cid: bool = True


def scan(
    door: ReadingDoor, path: Path, stretch: Stretch, vouches: Callable[[bytes], bool] | None = None
) -> Iterator[ScannedRecord | Gap]:
    """Every record of the stretch; a directory ends it.

    After damage it goes on at the next header that holds. What follows a gap may be bytes that a customer made look
    like a record: with `vouches` it counts only where that knows its cid, and else its length leads nowhere.
    """
    handle = door.open_read(path)
    try:
        window = _Window(door, handle, stretch.end, _WINDOW_BYTES if stretch.with_cid else BLOCK_BYTES)
        yield from _Scan(window, vouches, with_cid=stretch.with_cid).run(stretch.start)
    finally:
        door.close(handle)


# Of a stretch: a disk that refuses more is not asked block by block to its end.
_REFUSED_MAX = 64
# A header costs nothing to forge, and each one a hash of what it claims.
_UNVOUCHED_BYTES_MAX = 256 * 1024 * 1024


class _Window:
    """A sliding view of a file up to `end`."""

    def __init__(self, door: ReadingDoor, handle: Handle, end: int, size_bytes: int) -> None:
        self.end = end
        self._size_bytes = size_bytes
        self._door = door
        self._handle = handle
        self._start = 0
        self._data = b""

    @property
    def piece_bytes(self) -> int:
        """How much is looked through at a time."""
        return min(1024 * 1024, self._size_bytes)

    def read_blocks(self) -> None:
        """From now on no more than is asked for: a larger read would fail for the sake of one block."""
        self._size_bytes = BLOCK_BYTES

    def view(self, offset: int, length: int) -> memoryview:
        """Shorter than asked only at the end."""
        length = min(length, self.end - offset)
        if offset < self._start or offset + length > self._start + len(self._data):
            size = min(max(length, self._size_bytes), self.end - offset)
            self._data = self._door.read(self._handle, offset, size)
            self._start = offset
        return memoryview(self._data)[offset - self._start : offset - self._start + length]


class _Scan:
    def __init__(self, window: _Window, vouches: Callable[[bytes], bool] | None, *, with_cid: bool) -> None:
        self._window = window
        self._vouches = vouches
        self._with_cid = with_cid
        self._unvouched_bytes = 0
        self._is_forged = False  # too much behind a gap only looks like records: what follows it is not looked for

    def run(self, start: int) -> Iterator[ScannedRecord | Gap]:
        position = start
        gap: Gap | None = None  # the damage that `position` is still in
        is_lost = False
        refused = 0
        while position < self._window.end:
            try:
                position = self._resynchronise(position) if gap else position
                item = self._next(position, is_lost=is_lost)
            except OSError as error:
                gap = gap or Gap(position, 0, f"the disk cannot be read here: {error}", is_unreadable=True)
                refused += 1
                if refused > _REFUSED_MAX:
                    break
                is_lost = True
                self._window.read_blocks()
                position += BLOCK_BYTES - position % BLOCK_BYTES
                continue
            except (RecordError, FormatError) as error:
                gap = gap or Gap(position, 0, str(error))
                is_lost = True
                position = self._window.end if self._is_forged else position + 1
                continue
            if gap:
                yield msgspec.structs.replace(gap, length=position - gap.offset)
                gap = None
            if item is None:
                return
            if isinstance(item, int):
                position += item
                continue
            is_lost = False
            yield item
            position += item.header.record_length
        if gap:
            yield msgspec.structs.replace(gap, length=self._window.end - gap.offset)

    def _next(self, position: int, *, is_lost: bool) -> ScannedRecord | int | None:
        """A record, the length of a padding, or None where a directory begins."""
        magic = bytes(self._window.view(position, 4))
        is_doubted = is_lost and self._vouches is not None
        if magic == DIRECTORY_MAGIC and position % BLOCK_BYTES == 0 and not is_doubted:
            return None
        if magic == PADDING_MAGIC:
            return self._padding(position)
        record = self._record(position)
        if is_lost and self._vouches and not self._vouches(record.cid):
            self._count_unvouched(record.header.record_length)
            raise RecordError("record: nothing vouches for it behind the damage")
        return record

    def _record(self, position: int) -> ScannedRecord:
        try:
            header = parse_header(self._window.view(position, HEADER_BYTES))
        except NewerRecord as error:
            self._refuse_newer(position, error)
            raise
        if position + header.record_length > self._window.end:
            raise RecordError("record: body goes beyond the end")
        if not self._with_cid:
            return ScannedRecord(position, header, b"")
        record = self._window.view(position, header.record_length)
        if len(record) != header.record_length:
            raise RecordError("record: body ends before its body_length")
        check_companion(header, record)
        return ScannedRecord(position, header, cid(record))

    def _refuse_newer(self, position: int, error: NewerRecord) -> None:
        """Anybody can make bytes that look like one: only a cid that is vouched for stops the vault."""
        if not (self._with_cid and self._vouches):
            return
        if self._vouches(cid(self._window.view(position, error.record_length))):
            raise NewerFormat(f"a container's record at offset {position} ({error})") from None
        self._count_unvouched(error.record_length)

    def _count_unvouched(self, length: int) -> None:
        self._unvouched_bytes += length
        if self._unvouched_bytes > _UNVOUCHED_BYTES_MAX:
            self._is_forged = True

    def _padding(self, position: int) -> int:
        length = decode_padding(self._window.view(position, PADDING_HEADER_BYTES))
        if (position + length) % BLOCK_BYTES:
            raise FormatError("padding record: does not end on a block boundary")
        if any(bytes(self._window.view(position, length)[PADDING_HEADER_BYTES:])):
            raise FormatError("padding record: is not filled with zeros")
        return length

    def _resynchronise(self, position: int) -> int:
        """The next place from `position` on where a header holds, or the end."""
        while position < self._window.end:
            piece = bytes(self._window.view(position, self._window.piece_bytes))
            if not piece:
                break  # the file ends before `end`
            found = [at for at in (piece.find(magic) for magic in _MAGICS) if at >= 0]
            if not found:
                position += max(len(piece) - 3, 1)
                continue
            position += min(found)
            if self._begins(position):
                return position
            position += 1
        return self._window.end

    def _begins(self, position: int) -> bool:
        try:
            if bytes(self._window.view(position, 4)) == PADDING_MAGIC:
                self._padding(position)
            else:
                parse_header(self._window.view(position, HEADER_BYTES))
        except NewerRecord:
            return True
        except (RecordError, FormatError):
            return False
        return True


def _fault(record: bytes, expected: ExpectedRecord) -> str:
    try:
        header = parse_record(record)
    except NewerRecord as error:
        if cid(record)[: len(expected.cid_prefix)] == expected.cid_prefix:
            raise NewerFormat(f"record {expected.id.hex()} ({error})") from None
        return str(error)
    except RecordError as error:
        return str(error)
    if header.id != expected.id:
        return f"it holds record {header.id.hex()}"
    if cid(record)[: len(expected.cid_prefix)] != expected.cid_prefix:
        return "its bytes do not hold their cid"
    return ""


def _read_range(door: ReadingDoor, path: Path, offset: int, length: int) -> bytes:
    handle = door.open_read(path)
    try:
        return door.read(handle, offset, length)
    finally:
        door.close(handle)
