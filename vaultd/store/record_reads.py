"""Reads of records, and what they tell about records and disks.

Threads: any.
"""

import errno
from collections.abc import Callable

from msgspec import Struct

from vaultd.store.container_readers import ContainerReaders
from vaultd.store.containers.format import container_path
from vaultd.store.containers.reader import ExpectedRecord, RecordPlace, read_record
from vaultd.store.damage_notes import DamageNotes
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import DiskMissing, RecordDamaged, RecordUnread
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow, Location

# What a read says of a disk that was pulled, or of a file system whose server is gone.
_NO_DEVICE = (errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EREMOTEIO, errno.ESHUTDOWN)


class ReadParts(Struct, frozen=True):
    door: Door
    disks: Disks
    index: Index
    notes: DamageNotes
    readers: ContainerReaders


class RecordReads:
    def __init__(self, parts: ReadParts, row_of: Callable[[int], ContainerRow | None]) -> None:
        """`row_of`: of a container by its number, None where the store has it no more."""
        self._door = parts.door
        self._disks = parts.disks
        self._index = parts.index
        self._notes = parts.notes
        self._readers = parts.readers
        self._row_of = row_of

    def read(self, location: Location, expected_id: bytes) -> bytes:
        """The whole record, wherever it was moved since it was located; RecordDamaged if it is not the one that was
        stored: the next commit notes that.
        """
        while True:
            with self._readers.hold(location.container):
                row = self._row_of(location.container)
                if row is not None:
                    return self._read(row.disk_id, location, expected_id)
            there = self._index.place_of(location.keyring_number, expected_id)
            if there is None or there.container == location.container:
                if there is not None:
                    self._notes.note_damage(expected_id, there)
                raise RecordDamaged(f"record {expected_id.hex()}: container {location.container:012x} is not known")
            location = there

    def _read(self, disk_id: bytes, location: Location, expected_id: bytes) -> bytes:
        path = container_path(self._disks.with_id(disk_id, expected_id).path, location.container)
        place = RecordPlace(path, location.offset, location.length)
        try:
            record = read_record(self._door, place, ExpectedRecord(expected_id, location.cid_prefix))
            if self._notes.is_damaged(expected_id, location):
                self._notes.note_whole(expected_id, location, record)
            return record
        except RecordDamaged:
            self._notes.note_damage(expected_id, location)
            raise
        except OSError as error:
            sentence = f"record {expected_id.hex()} in {path} cannot be read: {error}"
            if error.errno not in (errno.EIO, errno.ENOENT, *_NO_DEVICE):
                raise RecordUnread(sentence) from error
            if error.errno in _NO_DEVICE or not self._disks.is_here(self._door, disk_id):
                raise DiskMissing(f"{sentence}: its disk went away") from error
            self._notes.note_damage(expected_id, location)
            raise RecordDamaged(sentence) from error
