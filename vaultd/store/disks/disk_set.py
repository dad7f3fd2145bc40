"""The disks of a vault together: which are here, which are away, which are lost, and what that means for a record.

Invariant: a disk that is neither here nor declared lost is away, also where no path of the settings is left for it:
what lies on it is out of reach and neither missing nor damaged.
Threads: `know` and `look` replace what others read, in one assignment; of looks at once the one that began last counts.
"""

import errno
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from vaultd.store.disk_door import Door
from vaultd.store.disks.identity import IDENTITY_BYTES, IDENTITY_NAME, Disk, decode_identity
from vaultd.store.disks.known_disks import KnownDisk, is_replaced, with_those_here
from vaultd.store.errors import DiskMissing, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity
from vaultd.store.index_rows import ContainerRow

COPIES = 2  # journal, checkpoints and erase keys lie on so many disks
_OWN_SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Away(Struct, frozen=True):
    """`disk` is None where nothing tells which one belongs there. `place`: a path, or a name where none is known."""

    place: str
    reason: str
    disk: KnownDisk | None


class Disks:
    """`offline`: paths of the settings that hold none, one that fails or one that is lost, and why; `unused`: those of
    them that hold one that is lost. `read_only`: numbers of those that are read and not written to.
    """

    def __init__(
        self,
        online: Sequence[Disk],
        offline: Mapping[Path, str],
        known: Sequence[KnownDisk] = (),
        unused: Collection[Path] = (),
        read_only: Collection[int] = frozenset(),
    ) -> None:
        self.online = tuple(sorted(online, key=lambda disk: disk.number))
        self.offline = tuple(offline)
        self._unused = frozenset(map(str, unused))
        self._read_only = read_only
        self._reasons = {str(path): reason for path, reason in offline.items()}
        self._by_id = {disk.disk_id: disk for disk in self.online}
        self._by_number = {disk.number: disk for disk in self.online}
        self._gone: frozenset[bytes] = frozenset()  # by id: those that were here at the start, when last looked for
        self._looking = threading.Lock()  # never held while a disk is asked
        self._looks_begun = 0
        self._look_told = 0  # the number of the look that `_gone` comes from
        self.know(known)

    def know(self, known: Sequence[KnownDisk]) -> None:
        """The whole list, without what the disks that are here add to it."""
        self.known = tuple(with_those_here(known, self.online))
        self._lost = frozenset(disk.disk_id for disk in self.known if disk.is_lost)

    def with_id(self, disk_id: bytes, record_id: bytes) -> Disk:
        """To read this record from."""
        disk = self._by_id.get(disk_id)
        if disk is not None:
            return disk
        if self.is_given_up(disk_id):
            raise RecordDamaged(f"record {record_id.hex()} lay on disk {disk_id.hex()}, which is lost")
        raise DiskMissing(f"record {record_id.hex()} lies on disk {disk_id.hex()}, which is offline: bring it back")

    def is_given_up(self, disk_id: bytes) -> bool:
        """It was declared lost, or another one took its place."""
        return disk_id in self._lost

    def is_here(self, door: Door, disk_id: bytes) -> bool:
        """Whether its identity file can be read now, from the disk: a path that was unmounted is no damage, and what
        a disk that is gone left in memory does not bring it back.
        """
        disk = self._by_id.get(disk_id)
        try:
            return disk is not None and _holds_its_identity(door, disk)
        except (StoreError, OSError):
            return False

    def look(self, door: Door) -> bool:
        """Which of those that were here at the start are gone by now; whether this look itself met such one.

        One that a slow disk held up does not overwrite what a later one found.
        """
        with self._looking:
            self._looks_begun += 1
            number = self._looks_begun
        gone = frozenset(disk.disk_id for disk in self.online if self._is_gone_now(door, disk))
        with self._looking:
            if number > self._look_told:
                self._gone, self._look_told = gone, number
        return bool(gone)

    def _is_gone_now(self, door: Door, disk: Disk) -> bool:
        """As before where the process is short of what a look needs: that says nothing of the disk."""
        try:
            return not _holds_its_identity(door, disk)
        except OSError as error:
            return self.has_gone(disk.disk_id) if error.errno in _OWN_SHORTAGE else True
        except StoreError:
            return True

    def has_gone(self, disk_id: bytes) -> bool:
        """As of the last look."""
        return disk_id in self._gone

    @property
    def writable(self) -> list[Disk]:
        """Not where a disk is gone: what is mounted at its path now is another file system."""
        here = [disk for disk in self.online if disk.disk_id not in self._gone]
        return [disk for disk in here if disk.number not in self._read_only]

    def hold_unread(self, containers: Iterable[ContainerRow]) -> bool:
        """Whether the index was made anew without one that is away: a record without a row may lie there."""
        unread = [row.disk_id for row in containers if row.indexed_length < row.acknowledged_length]
        return any(disk_id not in self._by_id and not self.is_given_up(disk_id) for disk_id in unread)

    def find_id(self, disk_id: bytes) -> Disk | None:
        return self._by_id.get(disk_id)

    def find_number(self, number: int) -> Disk | None:
        return self._by_number.get(number)

    @property
    def with_copies(self) -> list[Disk]:
        """The first two, where journal, checkpoints and erase keys lie; those that were here at the start."""
        return [disk for disk in self.online if disk.number < COPIES]

    def copy_directories(self, name: str) -> list[Path]:
        """Where a thing that is kept twice lies, on the disks of the first two that were here at the start."""
        return [disk.directory(name) for disk in self.with_copies]

    def copies_here(self, door: Door, name: str) -> list[Path]:
        """The same, to write to now: never where a disk is gone, since what is mounted at its path is another file
        system, and what is put there is hidden when the disk is back.
        """
        found = [disk.directory(name) for disk in self.with_copies if self.is_here(door, disk.disk_id)]
        if not found:
            raise DiskMissing(f"none of the first two disks is here to take {name}: bring one back")
        return found

    def other_directories(self, name: str) -> list[Path]:
        """On all disks but those."""
        return [disk.directory(name) for disk in self.online if disk.number >= COPIES]

    @property
    def is_any_away(self) -> bool:
        """Whether a disk may come back with something that is not known here."""
        return bool(self._gone) or any(True for _ in self._missing())

    @property
    def paths_away(self) -> list[str]:
        return [one.place for one in self.away()]

    @property
    def places_lost(self) -> set[str]:
        """Where those were that were declared lost, as `away` names them; not where another one is used now."""
        lost = {disk.path or disk.sentence_name() for disk in self.known if disk.is_lost}
        return lost - {str(disk.path) for disk in self.online}

    def away(self) -> list[Away]:
        """The disks that are offline: those that were not here at the start, and those that are gone since."""
        gone = [disk for disk in self.online if disk.disk_id in self._gone]
        left = "it went away while vaultd ran: bring it back and restart vaultd"
        return [*self._missing(), *(Away(str(disk.path), left, _known(disk)) for disk in gone)]

    def offline_findings(self) -> list[Finding]:
        """One for each disk that is away or lost, in the sentence that log, status and check show."""
        end = "; journal, checkpoints and erase keys are on one disk only" if self.lacks_copies else ""
        found = [
            (one.place, f"the disk is offline{_details(one)}: what lies on it is out of reach{_way_out(one)}")
            for one in self.away()
        ]
        found += [(disk.path or disk.sentence_name(), self._lost_sentence(disk)) for disk in self._lost_ones()]
        places = {place for place, _ in found}
        found += [(path, self._reasons[path]) for path in sorted(self._unused - places)]
        return [Finding(Severity.warning, place, sentence + end) for place, sentence in found]

    @property
    def lacks_copies(self) -> bool:
        """Whether what is kept on two disks is on one only."""
        numbers = {disk.number for disk in self.known if disk.number is not None}
        unnumbered = sum(disk.number is None and not disk.is_lost for disk in self.known)
        wanted = min(COPIES, max(len(numbers) + unnumbered, len(self.online) + len(self.offline)))
        return sum(disk.disk_id not in self._gone for disk in self.with_copies) < wanted

    def without(self, failing: Mapping[Path, str], read_only: Collection[int]) -> "Disks":
        online = [disk for disk in self.online if disk.path not in failing]
        reasons = {Path(path): reason for path, reason in self._reasons.items()}
        return Disks(online, reasons | dict(failing), self.known, [Path(path) for path in self._unused], read_only)

    def _missing(self) -> Iterator[Away]:
        absent = [disk for disk in self.known if not disk.is_lost and disk.disk_id not in self._by_id]
        explained = {disk.path for disk in (*absent, *self._lost_ones())} | self._unused
        unexplained = [path for path in self._reasons if path not in explained]
        moved = [disk for disk in absent if disk.path not in self._reasons]
        if len(unexplained) == len(moved) == 1:  # the vault's directory has another name now, or the disk another path
            yield Away(unexplained[0], self._reasons[unexplained[0]], moved[0])
            absent.remove(moved[0])
            unexplained = []
        for disk in absent:
            reason = self._reasons.get(disk.path, "no path of the settings holds it")
            if disk.path in self._unused and disk.disk_id.hex() in reason:  # lost at the start, and taken back since
                reason = "it is mounted: restart vaultd, and it is used again"
            yield Away(disk.path or disk.sentence_name(), reason, disk)
        for path in unexplained:
            yield Away(path, self._reasons[path], None)

    def _lost_ones(self) -> list[KnownDisk]:
        """Those that wait for another one to take their place."""
        lost = [disk for disk in self.known if disk.is_lost and disk.number is not None]
        return [disk for disk in lost if not is_replaced(disk, self.known)]

    def _lost_sentence(self, disk: KnownDisk) -> str:
        if disk.path in self._unused:
            return self._reasons[disk.path]
        return f"{disk.sentence_name()} was declared lost: put another one in its place"


def _known(disk: Disk) -> KnownDisk:
    return KnownDisk(disk.disk_id, disk.number, False, str(disk.path))


def _way_out(away: Away) -> str:
    """A disk that only containers tell of may have been replaced before there was a list: nobody else knows."""
    if away.disk is None or away.disk.number is not None:
        return ""
    command = f"`vaultctl disk lost {away.disk.disk_id.hex()}`"
    return f", and nothing is cut or given up; if another one took its place, {command} says so"


def _details(away: Away) -> str:
    """Who it is and why, as far as is known."""
    details = [away.reason, away.disk.name_in_brackets if away.disk else ""]
    text = ", ".join(filter(None, details))
    return text and f" ({text})"


def _holds_its_identity(door: Door, disk: Disk) -> bool:
    handle = door.open_read(disk.path / IDENTITY_NAME)
    try:
        door.drop_cache(handle, 0, IDENTITY_BYTES)
        data = door.read(handle, 0, IDENTITY_BYTES)
    finally:
        door.close(handle)
    return decode_identity(data, disk.path)[0].disk_id == disk.disk_id
