"""The store as the offline check sees it: look-ups and reads that change nothing."""

from collections.abc import Callable, Sequence

from vaultd.store.check.faults import Faults
from vaultd.store.containers.format import container_path
from vaultd.store.containers.reader import ExpectedRecord, RecordPlace, read_record
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.errors import RecordDamaged
from vaultd.store.index.index import Index
from vaultd.store.index_rows import Location
from vaultd.store.record_format import HEADER_BYTES, parse_header
from vaultd.store.recovery.gone_containers import find_gone


class CheckRecords:
    """A record whose run key is not known counts as missing: nobody could open it. So does what is in `faults`, which
    gets what a read finds damaged.
    """

    def __init__(
        self, door: Door, disks: Disks, index: Index, faults: Faults, is_known_key: Callable[[bytes], bool]
    ) -> None:
        self._faults = faults
        self._door = door
        self._disks = disks
        self._index = index
        self._containers = index.containers()
        lost = (n for n, row in self._containers.items() if disks.is_given_up(row.disk_id))
        index.give_up(find_gone(door, disks, self._containers.values()).union(lost))
        self.lacks_rows = disks.hold_unread(self._containers.values())
        self._is_known_key = is_known_key
        # By the index's number of the key: one header is read for each.
        self._known: dict[int, bool] = {}

    def missing(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool]:
        present = list(self._index.present(keyring_id, ids))
        found = dict(zip(present, self._index.lookup(keyring_id, present), strict=True))
        return [not self._is_openable(found.get(id_), id_) for id_ in ids]

    def locate(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
        return self._index.lookup(keyring_id, ids)

    def read(self, location: Location, expected_id: bytes) -> bytes:
        place = self._place(location, expected_id)
        try:
            return read_record(self._door, place, ExpectedRecord(expected_id, location.cid_prefix))
        except RecordDamaged:
            if self._faults.of(location, expected_id) is None:
                self._faults.add_record(expected_id, location, str(place.path))
            raise

    def _is_openable(self, location: Location | None, id_: bytes) -> bool:
        if location is None or self._faults.of(location, id_):
            return False
        if location.key_number not in self._known:
            place = self._place(location, id_)
            handle = self._door.open_read(place.path)
            try:
                header = parse_header(self._door.read(handle, place.offset, HEADER_BYTES))
            finally:
                self._door.close(handle)
            self._known[location.key_number] = self._is_known_key(header.key_id)
        return self._known[location.key_number]

    def _place(self, location: Location, id_: bytes) -> RecordPlace:
        row = self._containers.get(location.container)
        if row is None:
            raise RecordDamaged(f"container {location.container:012x} is not in the index")
        path = container_path(self._disks.with_id(row.disk_id, id_).path, location.container)
        return RecordPlace(path, location.offset, location.length)
