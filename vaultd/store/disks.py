"""The disks of a vault: who each one is, which are here, and the locks that keep a second daemon out
(docs/format.md#disk-identity).

A disk is known by its identity file and never by its path; a path without one is an offline disk, not an empty one.
"""

import errno
import fcntl
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct as Layout

from msgspec import Struct

from vaultd.store.checksum import checksum
from vaultd.store.disk_door import UNFINISHED_SUFFIX, Door, make_directory, read_file, write_file
from vaultd.store.errors import DiskMissing, FormatError, InUse, NewerFormat, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity

IDENTITY_NAME = "disk.id"
NEW_NAME = "disk.new"  # an operator's word that this directory is a disk: one that is not mounted is empty as well
_OF_FILE_SYSTEMS = "lost+found"
DIRECTORIES = ("containers", "journal", "checkpoints", "erase-keys")
COPIES = 2  # journal, checkpoints and erase keys lie on so many disks
_MAGIC = b"SSI1"
_VERSION = 1
_IDENTITY = Layout("<4sB3s16s16sIq4s")
_IDENTITY_BYTES = 64


class Disk(Struct, frozen=True):
    number: int
    disk_id: bytes
    path: Path
    created_ns: int

    def directory(self, name: str) -> Path:
        return self.path / name


class VaultLock:
    """Held as long as the object is open; the system lets go of it when the process dies."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._disks: set[Path] = set()

    def take(self, path: Path, flags: int) -> None:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"{path.parent} is in use by another vaultd: stop that one first") from None

    def take_disk(self, path: Path) -> None:
        """Once, however often it is asked for: a second descriptor would be refused like another process."""
        path = path.resolve()
        if path not in self._disks:
            self.take(path / IDENTITY_NAME, os.O_RDONLY)
            self._disks.add(path)

    def take_online(self, disks: "Disks") -> None:
        """Those that were no disk yet, or did not answer, when the lock was taken."""
        for disk in disks.online:
            try:
                self.take_disk(disk.path)
            except OSError as error:
                raise StoreError(f"{disk.path} cannot be locked: {error}; replace the disk or unmount it") from error

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


class Disks:
    """The disks that are here, by number and by id, and the paths that hold none or one that fails."""

    def __init__(
        self, online: Sequence[Disk], offline: Mapping[Path, str], read_only: Collection[int] = frozenset()
    ) -> None:
        """`read_only`: numbers of those that are read and not written to."""
        self._read_only = read_only
        self.online = tuple(sorted(online, key=lambda disk: disk.number))
        self.offline = tuple(offline)
        self._reasons = dict(offline)
        self._by_id = {disk.disk_id: disk for disk in self.online}
        self._by_number = {disk.number: disk for disk in self.online}

    def with_id(self, disk_id: bytes, record_id: bytes) -> Disk:
        """To read this record from."""
        disk = self._by_id.get(disk_id)
        if disk is not None:
            return disk
        if self.is_given_up(disk_id):
            raise RecordDamaged(f"record {record_id.hex()} lay on disk {disk_id.hex()}, which another one replaced")
        raise DiskMissing(f"record {record_id.hex()} lies on disk {disk_id.hex()}, which is offline: bring it back")

    def is_given_up(self, disk_id: bytes) -> bool:
        """Another one took its place: all are here and it is none of them."""
        return not self.offline and disk_id not in self._by_id

    def is_here(self, door: Door, disk_id: bytes) -> bool:
        """Whether its identity file can be read now: a path that was unmounted is no damage."""
        disk = self._by_id.get(disk_id)
        if disk is None:
            return False
        try:
            return decode_identity(read_file(door, disk.path / IDENTITY_NAME), disk.path)[0].disk_id == disk_id
        except (FormatError, OSError):
            return False

    def find_id(self, disk_id: bytes) -> Disk | None:
        return self._by_id.get(disk_id)

    def find_number(self, number: int) -> Disk | None:
        return self._by_number.get(number)

    @property
    def writable(self) -> list[Disk]:
        return [disk for disk in self.online if disk.number not in self._read_only]

    @property
    def with_copies(self) -> list[Disk]:
        """The first two, where journal, checkpoints and erase keys lie; those that are here."""
        return [disk for disk in self.online if disk.number < COPIES]

    def copy_directories(self, name: str) -> list[Path]:
        """Where a thing that is kept twice lies, on the disks of the first two that are here."""
        return [disk.directory(name) for disk in self.with_copies]

    def other_directories(self, name: str) -> list[Path]:
        """On all disks but those."""
        return [disk.directory(name) for disk in self.online if disk.number >= COPIES]

    def offline_findings(self) -> list[Finding]:
        """One for each path without a disk, in the sentence that log and check show."""
        wanted = min(COPIES, len(self.online) + len(self.offline))
        end = ": what lies on it is out of reach"
        if len(self.copy_directories("journal")) < wanted:
            end += "; journal, checkpoints and erase keys are on one disk only"
        return [
            Finding(Severity.warning, str(path), f"the disk is offline{reason and f' ({reason})'}{end}")
            for path, reason in self._reasons.items()
        ]

    def without(self, failing: Mapping[Path, str], read_only: Collection[int]) -> "Disks":
        online = [disk for disk in self.online if disk.path not in failing]
        return Disks(online, self._reasons | dict(failing), read_only)


def create_disk(door: Door, path: Path, vault_id: bytes, number: int, now_ns: int) -> Disk:
    """Makes an existing directory a disk of the vault; its identity file comes last."""
    identity = path / IDENTITY_NAME
    if door.exists(identity):
        raise StoreError(f"{path} is a disk of a vault already: take an empty directory")
    for name in DIRECTORIES:
        make_directory(door, path / name)
    disk = Disk(number, os.urandom(16), path, now_ns)
    write_file(door, identity, encode_identity(disk, vault_id))
    return disk


def take_new_disk(door: Door, paths: Sequence[Path], vault_id: bytes, now_ns: int) -> None:
    """Makes the empty directory that the operator marked the disk of the vault that is lost."""
    new = [path for path in paths if door.exists(path / NEW_NAME) and not door.exists(path / IDENTITY_NAME)]
    if not new:
        return
    here = {disk.number for disk in open_disks(door, paths, vault_id).online}
    lost = sorted(set(range(len(paths))) - here)
    if len(lost) != 1:
        names = ", ".join(str(path) for path in paths if not door.exists(path / IDENTITY_NAME))
        sentence = f"{new[0]} cannot become a disk: {len(lost)} disks are not here ({names})"
        raise StoreError(f"{sentence}; mount those that are not lost, only one can be replaced at a time")
    (path,) = new
    try:
        if not _is_empty(door, path):
            raise StoreError(f"{path} cannot become a disk: it has more in it than {NEW_NAME}; take an empty directory")
        create_disk(door, path, vault_id, lost[0], now_ns)
        door.unlink(path / NEW_NAME)
    except OSError as error:
        raise StoreError(f"{path} cannot become a disk: {error}; take another one") from error


def _is_empty(door: Door, path: Path) -> bool:
    """But for what making a disk of it left before a crash: its identity comes last, so nothing was put into it yet."""
    names = set(door.listdir(path)) - {NEW_NAME, _OF_FILE_SYSTEMS, IDENTITY_NAME + UNFINISHED_SUFFIX}
    return names <= set(DIRECTORIES) and not any(door.listdir(path / name) for name in names)


def encode_identity(disk: Disk, vault_id: bytes) -> bytes:
    head = _IDENTITY.pack(_MAGIC, _VERSION, bytes(3), vault_id, disk.disk_id, disk.number, disk.created_ns, bytes(4))
    return head + checksum(head)


def decode_identity(data: bytes, path: Path) -> tuple[Disk, bytes]:
    """(disk, vault id)"""
    place = path / IDENTITY_NAME
    if len(data) != _IDENTITY_BYTES or checksum(data[: _IDENTITY.size]) != data[_IDENTITY.size :]:
        raise FormatError(f"{place} is damaged: its length or checksum does not hold")
    magic, version, reserved, vault_id, disk_id, number, created_ns, reserved2 = _IDENTITY.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise NewerFormat(f"{place} with magic {magic.hex()} version {version}")
    if any(reserved) or any(reserved2):
        raise NewerFormat(f"{place}, whose reserved bytes are not zero,")
    return Disk(number, disk_id, path, created_ns), vault_id


def open_disks(door: Door, paths: Sequence[Path], vault_id: bytes) -> Disks:
    """A foreign or doubled disk is refused; a missing one is offline, unless no copy of the journal is left."""
    online: list[Disk] = []
    offline: dict[Path, str] = {}
    for path in paths:
        identity = path / IDENTITY_NAME
        if not door.exists(identity):
            offline[path] = ""
            continue
        try:
            data = read_file(door, identity)
        except OSError as error:
            offline[path] = str(error)
            continue
        disk, owner = decode_identity(data, path)
        if owner != vault_id:
            raise StoreError(f"{path} is a disk of vault {owner.hex()}, not of {vault_id.hex()}: correct `disks`")
        if any(other.number == disk.number for other in online):
            raise StoreError(f"{path}: disk number {disk.number} is there twice: correct `disks`")
        online.append(disk)
    disks = Disks(online, offline)
    if not disks.copy_directories("journal"):
        names = ", ".join(str(path) for path in offline)
        raise DiskMissing(f"no disk with a journal is here (offline: {names}): mount one of the first two disks")
    return disks


def sync_directories(door: Door, disks: Disks) -> Disks:
    """A process killed between making a name and syncing it leaves a name that is there, but not durable.

    Without the disks that fail here; one of the first two, which the journal is written to, is not done without.
    One that is read-only changes no more, so that what is read from it needs no sync.
    """
    failing: dict[Path, str] = {}
    read_only = set()
    for disk in disks.online:
        path = disk.path
        directories = [path, *filter(door.exists, map(disk.directory, DIRECTORIES))]
        try:
            is_read_only = door.is_read_only(path)
            for path in directories:
                door.fsync_directory(path)
        except OSError as error:
            is_read_only = error.errno == errno.EROFS  # ext4 that met an error says it here only
            if disk.number < COPIES and not is_read_only:
                raise StoreError(f"{path} cannot be synced: {error}; replace the disk or take it offline") from error
            if not is_read_only:
                failing[disk.path] = f"{path} cannot be synced: {error}"
        if is_read_only:
            _refuse_without_journal(disk)
            read_only.add(disk.number)
    return disks.without(failing, read_only)


def _refuse_without_journal(disk: Disk) -> None:
    """Before the start is in the middle of mending a copy of the journal."""
    if disk.number < COPIES:
        raise StoreError(
            f"{disk.path} is read-only, and journal and erase keys have to be written to it: copy it to another disk "
            "and mount that here, or lay an overlay over it to restore from it (operations page, Disks)"
        )


def lock_vault(directory: Path, disk_paths: Sequence[Path]) -> VaultLock:
    """Refuses a second instance on one vault directory, and on any of its disks: a copied directory names the same
    disks, and two recoveries would cut each other's containers. Take it before anything is read.
    """
    lock = VaultLock()
    try:
        lock.take(directory / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno == errno.EROFS:
            sentence = f"{directory} is read-only, and index and catalog have to be written there"
            raise StoreError(f"{sentence}: copy it elsewhere, or lay an overlay over it") from error
        raise
    try:
        for path in disk_paths:
            with suppress(OSError):  # offline, or a disk that fails: it is offline too
                lock.take_disk(path)
    except BaseException:
        lock.close()
        raise
    return lock
