"""How much room the file systems have that the vault writes to, and the reserve that is to stay free on each.

A file system may tell of what was written only after a commit of its own (btrfs, up to half a minute later). So what
the vault wrote counts as not told yet, until the file system was made to; that is done only where it decides.
Threads: `Room` the writer thread only; what is told of the room any.
"""

from collections.abc import Sequence
from pathlib import Path

from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import COPIES, Disks
from vaultd.store.disks.identity import Disk
from vaultd.store.errors import NoSpace
from vaultd.store.findings import Finding, Severity
from vaultd.store.record_format import RECORD_BYTES_MAX
from vaultd.store.refusals import FULL

# What a record may cost the index at most: its leaf and the pages above it are written anew.
INDEX_BYTES_PER_RECORD = 8192
# Blocks that are filled up, entries of the journal, the first pages of both images.
_COMMIT_BYTES = 64 * 1024


def records_need_bytes(disk: Disk, size_bytes: int, reserve_bytes: int) -> int:
    """What is to be free where so much is to be stored. Where the journal lies as much again is left to it: containers
    cannot be moved, and a full journal stops every disk.
    """
    return size_bytes + reserve_bytes * (2 if disk.number < COPIES else 1)


def room_findings(door: Door, disks: Disks, index: Path, reserve_bytes: int) -> list[Finding]:
    """One for each place that has less room than the largest new record needs."""
    places = [(disk.path, records_need_bytes(disk, RECORD_BYTES_MAX, reserve_bytes)) for disk in disks.writable]
    found = []
    for path, needed_bytes in [*places, (index, INDEX_BYTES_PER_RECORD + reserve_bytes)]:
        try:
            free_bytes = door.space(path)[1]
        except OSError:
            continue  # it is gone or fails, which is told elsewhere
        if free_bytes < needed_bytes:
            refused = "every new record is refused" if path == index else "it may take no new records"
            sentence = f"{free_bytes} bytes are free, and new records need {needed_bytes}: {refused}; make room there"
            found.append(Finding(Severity.warning, str(path), sentence))
    return found


class Room:
    def __init__(self, door: Door, reserve_bytes: int, journal: Sequence[Path], index: Path) -> None:
        """`journal`: the disks that hold it; `index`: where the images of LMDB lie."""
        self.reserve_bytes = reserve_bytes
        self._door = door
        self._journal = journal
        self._index = index
        self._written = 0
        self._told: dict[Path, int] = {}  # by path: `_written` when its file system was last made to tell

    def note_written(self, size_bytes: int) -> None:
        self._written += size_bytes

    def note_commit(self, records: int) -> None:
        self._written += _COMMIT_BYTES + records * INDEX_BYTES_PER_RECORD

    def free_bytes(self, path: Path, needed_bytes: int) -> int:
        """Not more than is free; where that is less than `needed_bytes`, what the file system says for certain."""
        try:
            return self._free_bytes(path, needed_bytes)
        except OSError:
            return 0  # a disk that fails here takes no more records

    def require_for_records(self, count: int) -> None:
        """Refuses before anything is written what journal and index have no room for."""
        self._require(0, count * INDEX_BYTES_PER_RECORD, self.reserve_bytes)

    def require_for_entries(self, size_bytes: int) -> None:
        """Records that were taken are not refused any more: half of the reserve is for them."""
        self._require(size_bytes, size_bytes, self.reserve_bytes // 2)

    def _require(self, journal_bytes: int, index_bytes: int, reserve_bytes: int) -> None:
        places = {path: (journal_bytes, "holds a copy of the journal") for path in self._journal}
        for path, (size_bytes, what) in (places | {self._index: (index_bytes, "holds the index")}).items():
            needed = size_bytes + reserve_bytes
            try:
                free = self._free_bytes(path, needed)
            except OSError as error:
                if error.errno not in FULL:
                    continue  # it is gone or fails, which is not full: what is written to it next says so
                free = 0
            if free < needed:
                raise NoSpace(f"{path}, which {what}, has no room above the reserve: free space there")

    def _free_bytes(self, path: Path, needed_bytes: int) -> int:
        free = self._door.space(path)[1]
        not_told = self._written - self._told.get(path, 0)
        if not_told and needed_bytes <= free < needed_bytes + not_told:
            self._door.settle_space(path)
            self._told[path] = self._written
            return self._door.space(path)[1]
        return free
