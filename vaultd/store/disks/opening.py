"""Opening the disks of a vault by their identity files, and the locks that keep a second daemon out
(docs/format.md#disk-identity).

A disk is known by its identity file and never by its path; a path without one is an offline disk, not an empty one.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vaultd.store.disk_door import UNFINISHED_SUFFIX, Door, make_directory, read_file, write_file
from vaultd.store.disks.disk_set import COPIES, Disks
from vaultd.store.disks.identity import IDENTITY_NAME, Disk, decode_identity, encode_identity
from vaultd.store.disks.known_disks import KnownDisk, is_replaced, vacant_numbers
from vaultd.store.errors import DiskMissing, FormatError, InUse, StoreError
from vaultd.store.refusals import refusal

NEW_NAME = "disk.new"  # an operator's word that this directory is a disk: one that is not mounted is empty as well
LOST_AND_FOUND = "lost+found"
LOCK_NAME = "lock"  # in the vault's directory
DIRECTORIES = ("containers", "journal", "checkpoints", "erase-keys")


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

    def take_online(self, disks: Disks) -> None:
        """Those that were no disk yet, or did not answer, when the lock was taken."""
        for disk in disks.online:
            try:
                self.take_disk(disk.path)
            except OSError as error:
                raise StoreError(f"{disk.path} cannot be locked: {error}; replace the disk or unmount it") from error

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


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


def take_new_disk(
    door: Door,
    paths: Sequence[Path],
    vault_id: bytes,
    now_ns: int,
    known: Sequence[KnownDisk] = (),
    *,
    is_vouched: bool = True,
) -> bool:
    """Makes the empty directory that the operator marked the disk of the vault that is lost; whether there was one.

    `is_vouched`: the list of those `known` is no older than index or catalog.
    """
    new = [path for path in paths if door.exists(path / NEW_NAME) and not door.exists(path / IDENTITY_NAME)]
    if not new:
        return False
    here = open_disks(door, paths, vault_id, known).online
    lost = vacant_numbers(known, here, len(paths), is_vouched=is_vouched)
    if not lost and vacant_numbers(known, here, len(paths)):
        sentence = (
            f"{new[0]} cannot become a disk: index and catalog are lost, and the disks that are here name no lost one"
        )
        raise StoreError(f"{sentence}; remove {NEW_NAME} and start, `vaultctl disk lost DISK`, then mark it again")
    if len(lost) != 1:
        names = ", ".join(str(path) for path in paths if not door.exists(path / IDENTITY_NAME))
        sentence = f"{new[0]} cannot become a disk: {len(lost)} disks are not here ({names})"
        raise StoreError(f"{sentence}; mount those that are not lost, only one can be replaced at a time")
    if len(new) > 1:
        raise StoreError(f"{new[0]} and {new[1]} are both marked with {NEW_NAME}: remove one, only one disk is lost")
    (path,) = new
    try:
        if not _is_empty(door, path):
            raise StoreError(f"{path} cannot become a disk: it has more in it than {NEW_NAME}; take an empty directory")
        create_disk(door, path, vault_id, lost[0], now_ns)
        door.unlink(path / NEW_NAME)
    except OSError as error:
        raise StoreError(f"{path} cannot become a disk: {error}; take another one") from error
    return True


def _is_empty(door: Door, path: Path) -> bool:
    """But for what making a disk of it left before a crash: its identity comes last, so nothing was put into it yet."""
    names = set(door.listdir(path)) - {NEW_NAME, LOST_AND_FOUND, IDENTITY_NAME + UNFINISHED_SUFFIX}
    return names <= set(DIRECTORIES) and not any(door.listdir(path / name) for name in names)


def open_disks(door: Door, paths: Sequence[Path], vault_id: bytes, known: Sequence[KnownDisk] = ()) -> Disks:
    """A foreign or doubled disk is refused; one that is missing or whose identity is damaged is offline, unless no copy
    of the journal is left. One that is lost is not used: what it holds was sent again since, or will be.
    """
    online: list[Disk] = []
    offline: dict[Path, str] = {}
    lost = {disk.disk_id for disk in known if disk.is_lost}
    unused: list[Path] = []
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
        try:
            disk, owner = decode_identity(data, path)
        except FormatError as error:
            offline[path] = f"{error}; make it again from the disk's number and id"
            continue
        if owner != vault_id:
            raise StoreError(f"{path} is a disk of vault {owner.hex()}, not of {vault_id.hex()}: correct `disks`")
        if disk.disk_id in lost:
            offline[path] = _lost_sentence(disk, known)
            unused.append(path)
            continue
        if any(other.number == disk.number for other in online):
            raise StoreError(f"{path}: disk number {disk.number} is there twice: correct `disks`")
        online.append(disk)
    disks = Disks(online, offline, known, unused)
    if not disks.copy_directories("journal"):
        names = ", ".join(f"{path}{reason and f': {reason}'}{_who(path, known)}" for path, reason in offline.items())
        raise DiskMissing(f"no disk with a journal is here (offline: {names}): mount one of the first two disks")
    return disks


def _who(path: Path, known: Sequence[KnownDisk]) -> str:
    return "".join(f", {disk.name_in_brackets}" for disk in known if disk.path == str(path) and not disk.is_lost)


def find_copies(door: Door, paths: Sequence[Path], vault_id: bytes, name: str) -> list[Path]:
    """To read from before it is known which disks are lost: where what is kept twice lies on any that is mounted."""
    found = []
    for path in paths:
        with suppress(OSError, StoreError):
            disk, owner = decode_identity(read_file(door, path / IDENTITY_NAME), path)
            if owner == vault_id and disk.number < COPIES and door.exists(disk.directory(name)):
                door.listdir(disk.directory(name))  # one that does not even say what it has is passed over
                found.append(disk.directory(name))
    return found


def _lost_sentence(disk: Disk, known: Sequence[KnownDisk]) -> str:
    name = f"disk {disk.number} ({disk.disk_id.hex()})"
    if any(is_replaced(one, known) for one in known if one.disk_id == disk.disk_id):
        return f"here lies {name}, which another one replaced: mount that one"
    undo = f"`vaultctl disk lost {disk.disk_id.hex()} --undo`"
    return f"here lies {name}, which was declared lost: {undo} and a restart take it back"


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
                raise refusal(f"{path} cannot be synced", error) from error
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
        lock.take(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT)
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
