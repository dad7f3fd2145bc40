"""The containers that take records now, one per disk: which disk, when one is full, what a commit must sync.

Threads: the writer thread only.
"""

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from vaultd.store.containers.format import BLOCK_BYTES, RECORDS_MAX, ContainerHeader, DirectoryRow, container_path
from vaultd.store.containers.writer import ContainerWriter, ResumedContainer, allocate_buffer
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.identity import Disk
from vaultd.store.disks.room import Room, records_need_bytes
from vaultd.store.errors import NoSpace
from vaultd.store.record_format import RecordHeader


class ContainerSettings(Struct, frozen=True):
    vault_id: bytes
    container_bytes: int
    now_ns: Callable[[], int]


class StoredRecord(Struct, frozen=True, gc=False):
    """A record as it arrived: its header parsed and its cid computed by whoever received it."""

    header: RecordHeader
    cid: bytes
    view: bytes | memoryview


class Touched(Struct, frozen=True):
    """A container whose acknowledged length grew, and the cids of the records that were appended to it."""

    number: int
    disk_id: bytes
    length: int
    cids: bytes
    is_sealed: bool


class OpenContainers:
    def __init__(
        self,
        door: Door,
        disks: Disks,
        settings: ContainerSettings,
        room: Room,
        next_number: int,
        resumed: Mapping[int, ResumedContainer],
    ) -> None:
        """`resumed`, by disk number: open containers of an earlier start that may go on."""
        self._door = door
        self._disks = disks
        self._settings = settings
        self._room = room
        self._next_number = next_number
        self._resumed = dict(resumed)
        # By disk number: each disk has its own aligned buffer, used by one open container after another.
        self._writers: dict[int, ContainerWriter] = {}
        self._buffers: dict[int, mmap.mmap] = {}
        self._sealed: list[Touched] = []
        self._unsynced_directories: dict[Path, None] = {}

    def choose(self, home_disk: int, size_bytes: int) -> Disk:
        """The home disk, or where that is full, read-only or offline the one with the most room."""
        writable = self._disks.writable
        home = next((disk for disk in writable if disk.number == home_disk), None)
        if home and self._spare_bytes(home, size_bytes) >= 0:
            return home
        spare, number = max(((self._spare_bytes(disk, size_bytes), -disk.number) for disk in writable), default=(-1, 0))
        if spare < 0:
            raise NoSpace(f"no disk has {size_bytes} bytes of room above the reserve: free space")
        disk = self._disks.find_number(-number)
        assert disk is not None
        return disk

    def require_room(self, disk: Disk, size_bytes: int) -> None:
        """On this disk and no other."""
        if disk not in self._disks.writable or self._spare_bytes(disk, size_bytes) < 0:
            raise NoSpace(f"{disk.path} has no room for {size_bytes} bytes above the reserve: free space")

    def _spare_bytes(self, disk: Disk, size_bytes: int) -> int:
        """What is left above the reserve when so much was stored."""
        needed = records_need_bytes(disk, size_bytes, self._room.reserve_bytes)
        return self._room.free_bytes(disk.path, needed) - needed

    def append(self, disk: Disk, record: StoredRecord) -> tuple[int, int]:
        """(container, offset) of a record whose bytes are not durable yet."""
        header = record.header
        writer = self._writer(disk, len(record.view))
        offset = writer.length
        row = DirectoryRow(
            offset, len(record.view), header.type, header.keyring_id, header.key_id, header.id, record.cid
        )
        writer.append(record.view, row)
        self._room.note_written(len(record.view))
        return writer.number, offset

    def would_seal_unknown(self, disk: Disk, record: StoredRecord) -> bool:
        """Whether `append` would first seal a container of which no commit has told the journal."""
        writer = self._writers.get(disk.number)
        return writer is not None and not writer.acknowledged_length and self._is_full(writer, len(record.view))

    def sync(self) -> list[Touched]:
        """Makes everything appended durable, files and directories; what has grown since the last call."""
        touched = self._sealed
        for disk_number, writer in self._writers.items():
            if writer.is_dirty:
                length = writer.commit()
                disk_id = self._disk_id(disk_number)
                touched.append(Touched(writer.number, disk_id, length, writer.take_cids(), is_sealed=False))
        for directory in self._unsynced_directories:
            self._door.fsync_directory(directory)
        self._sealed = []
        self._unsynced_directories = {}
        return touched

    def rows_of(self, number: int) -> bytes | None:
        """Encoded directory rows of every acknowledged record of a container that goes on; None of any other."""
        for resumed in self._resumed.values():
            if resumed.number == number:
                return resumed.rows
        return next((one.named_rows for one in self._writers.values() if one.number == number), None)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, disk: Disk, size_bytes: int) -> ContainerWriter:
        writer = self._writers.get(disk.number) or self._open(disk)
        if self._is_full(writer, size_bytes):
            del self._writers[disk.number]
            length = writer.seal()
            self._sealed.append(Touched(writer.number, disk.disk_id, length, writer.take_cids(), is_sealed=True))
            writer = self._open(disk)
        return writer

    def _is_full(self, writer: ContainerWriter, size_bytes: int) -> bool:
        is_full = writer.length + size_bytes > self._settings.container_bytes or writer.records >= RECORDS_MAX
        return writer.length > BLOCK_BYTES and is_full

    def _open(self, disk: Disk) -> ContainerWriter:
        if disk.number not in self._buffers:
            self._buffers[disk.number] = allocate_buffer()
        buffer = self._buffers[disk.number]
        resumed = self._resumed.pop(disk.number, None)
        if resumed:
            path = container_path(disk.path, resumed.number)
            writer = ContainerWriter.resume(self._door, path, resumed, buffer)
        else:
            writer = self._create(disk, buffer)
        self._writers[disk.number] = writer
        return writer

    def _create(self, disk: Disk, buffer: mmap.mmap) -> ContainerWriter:
        number = self._next_number
        self._next_number += 1
        path = container_path(disk.path, number)
        if not self._door.exists(path.parent):
            self._door.mkdir(path.parent)
            self._unsynced_directories[path.parent.parent] = None
        header = ContainerHeader(self._settings.vault_id, number, self._settings.now_ns())
        writer = ContainerWriter.create(self._door, path, header, buffer)
        self._unsynced_directories[path.parent] = None
        return writer

    def _disk_id(self, disk_number: int) -> bytes:
        disk = self._disks.find_number(disk_number)
        assert disk is not None
        return disk.disk_id
