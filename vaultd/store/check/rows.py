"""Checks the rows of the index against journal and containers.

Memory: what is wrong with many rows of a container for the same reason is one fault that takes the others in.
"""

from collections.abc import Mapping
from pathlib import Path

from vaultd.store.check.containers import ContainerCheck
from vaultd.store.containers.format import BLOCK_BYTES, container_path
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import RecordError
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow, IndexRow, Location
from vaultd.store.record_format import HEADER_BYTES, RecordHeader, parse_header


class RowCheck:
    """After `containers`, whose faults get what is found here: what they hit already is told there alone."""

    def __init__(self, door: Door, disks: Disks, containers: ContainerCheck, place: str) -> None:
        self._door = door
        self._disks = disks
        self._containers = containers
        self._faults = containers.faults
        self._place = place

    def run(self, index: Index, containers: Mapping[int, ContainerRow]) -> int:
        """How many rows there are; `containers` as the journal has them."""
        count = 0
        for row in index.rows():
            count += 1
            if row.location is None:
                self._faults.add_unreadable_row(row, self._place)
            elif not self._faults.take_row(row, row.location):
                self._check(row, row.location, containers.get(row.location.container))
        return count

    def _check(self, row: IndexRow, location: Location, container: ContainerRow | None) -> None:
        where = f"container {location.container:012x}"
        if container is None:
            self._faults.whole(location.container, self._place, f"{where} is not in the journal")
            self._faults.take_row(row, location)
        elif self._disks.is_given_up(container.disk_id):
            return  # told once for its disk
        elif location.is_damaged:
            self._faults.add_marked_row(row, location, self._place)
        elif location.offset < BLOCK_BYTES or location.offset + location.length > container.acknowledged_length:
            sentence = f"rows lead to places in {where} that were not acknowledged"
            self._faults.outside(location.container, self._place, container.acknowledged_length, sentence)
            self._faults.take_row(row, location)
        elif disk := self._disks.find_id(container.disk_id):
            self._check_header(row, location, container_path(disk.path, location.container))

    def _check_header(self, row: IndexRow, location: Location, path: Path) -> None:
        where = f"the row of record {row.id.hex()}: in {path} at offset {location.offset}"
        try:
            header = self._read_header(path, location.offset)
        except OSError as error:
            self._containers.cannot_read(location.container, path, error)
            self._faults.take_row(row, location)
        except RecordError as error:
            self._faults.add_row(row, location, self._place, f"{where}: {error}")
        else:
            if header.id != row.id or header.record_length != location.length or header.type != location.type:
                sentence = f"{where} lies record {header.id.hex()} of {header.record_length} bytes"
                self._faults.add_row(row, location, self._place, sentence)

    def _read_header(self, path: Path, offset: int) -> RecordHeader:
        handle = self._door.open_read(path)
        try:
            return parse_header(self._door.read(handle, offset, HEADER_BYTES))
        finally:
            self._door.close(handle)
