"""Erase keys: slots and sealed run keys at rest are readable only as long as one small file exists
(docs/format.md#erase-keys).

Invariants: two copies of a key, outside of index, journal and catalog; a key is durable before anything is wrapped
under it; one good key is never written over another, but for the mark that it was erased for ever, which wins over
every copy of an owner that the catalog does not have; no key is kept in memory, so a destroyed one is gone at once.
Threads: `create`, `destroy` and `mend` in the writer thread (the latter two also before all others), the rest in any.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct as Layout
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vaultd.checksum import CHECKSUM_BYTES, checksum
from vaultd.store.disk_door import Door, read_file, write_file
from vaultd.store.disks.disk_set import Disks
from vaultd.store.erase_keys.file import (
    ERASED,
    KEY_BYTES,
    Owner,
    OwnerKind,
    check_key,
    decode_key,
    encode_key,
    is_erased,
)
from vaultd.store.errors import DiskMissing, FormatError, KeyUnread, NewerFormat, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity

_WRAP_MAGIC = b"SSW1"
_WRAP_VERSION = 1
_NONCE_BYTES = 12
_WRAP = Layout("<4sBB2s16s")  # and its checksum behind it
DIRECTORY = "erase-keys"
_SUFFIXES = (".key", ".key2")
COPIES_DIFFER = "its copies hold different keys: each may open something, so none was touched; keep them all"


class EraseKeys:
    def __init__(
        self,
        door: Door,
        directories: Sequence[Path],
        others: Sequence[Path] = (),
        here: Callable[[], Sequence[Path]] | None = None,
    ) -> None:
        """`directories` of the first two disks; on the `others` a copy or a mark may lie all the same. `here`: those of
        `directories` that can be written to now.
        """
        self._door = door
        self._directories = tuple(directories)
        self._everywhere = (*directories, *others)
        self._here = here or (lambda: self._directories)
        self._lacking: dict[Path, frozenset[str]] = {}  # by directory: names of keys that are not in it and should be
        self._spared: frozenset[Owner] = frozenset()  # whose marks count for nothing
        self._is_due = False  # some were made while a disk was away, and nobody tried to complete them since
        self._put_off = ""  # why the last try ended in the middle

    @classmethod
    def on(cls, door: Door, disks: Disks) -> Self:
        """A disk that goes away while the vault runs takes no more keys; `mend` completes what it lacks."""
        directories, others = disks.copy_directories(DIRECTORY), disks.other_directories(DIRECTORY)
        return cls(door, directories, others, lambda: disks.copies_here(door, DIRECTORY))

    def create(self, owner: Owner) -> None:
        """Durable in both copies when it returns. A repeat keeps the key and completes its copies.

        Where only damaged copies are here a new key would hide what was wrapped under the old one.
        """
        found = list(self._find(owner))
        if any(map(is_erased, found)):
            raise StoreError(f"the erase key of {owner.name} was erased for ever")
        if not found and any(self._door.exists(path) for path in self._files(owner.id.hex())):
            raise StoreError(
                f"every copy of the erase key of {owner.name} that is here is damaged: bring the other disk back"
            )
        data = found[0] if found else encode_key(owner, os.urandom(KEY_BYTES))
        directories = self._writable()
        for path in self._places(owner.id.hex(), directories):
            if not self._door.exists(path) or self._read(path, owner) is None:
                write_file(self._door, path, data)
        for directory in set(self._directories) - set(directories):
            self._note_lacking(directory, owner.id.hex())
            self._is_due = True

    def destroy(self, owner: Owner) -> None:
        """For ever: every copy that is here is written over in its place when it returns, and one that a disk brings
        back is by `mend`. A repeat completes. Where a copy cannot be written to, the others are all the same.
        """
        name, mark = owner.id.hex(), encode_key(owner, ERASED)
        self._spared -= {owner}
        directories = self._writable()
        places = self._places(name, directories)
        failed: OSError | None = None
        for path in dict.fromkeys([*self._files(name), *places]):
            try:
                if not self._door.exists(path):
                    if path in places:
                        write_file(self._door, path, mark)
                elif self._read(path, owner) != mark:
                    self._write_over(path, mark)
            except OSError as error:
                failed = failed or error
        for directory in set(self._directories) - set(directories):
            self._note_lacking(directory, name)
            self._is_due = True
        if failed is not None:
            raise failed

    def can_complete(self) -> bool:
        """Whether keys that were made while a disk was away can be brought onto it now: nobody may have seen it away.

        What could not be written is not tried again.
        """
        return self._is_due and len(self._writable()) == len(self._directories)

    def lacking_findings(self) -> list[Finding]:
        """One for each disk that lacks keys which are on the other one only; its place is the disk."""
        return [
            Finding(Severity.warning, str(directory.parent), _lacking_sentence(len(names)))
            for directory, names in sorted(self._lacking.items())
        ]

    def mend(self, known: Collection[Owner]) -> list[Finding]:
        """Brings every key onto all of its places: one that was made while a disk was away lies on the other twice.

        `known` are the owners that the catalog has: none of them is erased by a mark that a disk brings back.
        """
        directories, lacking = self._writable(), self._lacking
        is_whole = len(directories) == len(self._directories)
        if is_whole:
            self._lacking = {}
        try:
            findings = self._mend_all(directories, known)
        except BaseException:
            self._lacking = lacking
            raise
        self._is_due, self._put_off = self._is_due and not is_whole, ""
        return findings

    def put_off(self, error: Exception) -> list[Finding]:
        """After a `mend` that ended in the middle: it is due again. The same is told once."""
        self._is_due = True
        if (why := f"{type(error).__name__}: {error}") == self._put_off:
            return []
        self._put_off = why
        place = getattr(error, "filename", None) or DIRECTORY
        sentence = f"they are not completed on both disks ({why}): none is lost, and it is tried again with each look"
        hint = "look at the disk, and restart vaultd when it is well"
        return [Finding(Severity.damage, str(place), f"{sentence}; if that does not help, {hint}")]

    def _mend_all(self, directories: Sequence[Path], known: Collection[Owner]) -> list[Finding]:
        findings = []
        names: set[str] = set()
        for directory in self._everywhere:
            try:
                files = [name for name in self._door.listdir(directory) if name.endswith(_SUFFIXES)]
            except OSError as error:
                findings.append(Finding(Severity.damage, str(directory), f"the disk cannot be read: {error}"))
                continue
            names |= {name.partition(".")[0] for name in files}
        return findings + [finding for name in sorted(names) for finding in self._mend_key(name, directories, known)]

    def spare(self, known: Iterable[Owner]) -> None:
        """Marks of these count for nothing, as after `mend`; nothing is written, for the offline check."""
        self._spared = frozenset(known)

    def _mend_key(self, name: str, directories: Sequence[Path], known: Collection[Owner]) -> list[Finding]:
        copies = {path: self._read_good(path, name) for path in self._files(name)}
        different = {data for data in copies.values() if data is not None}
        place = str(self._directories[0] / name)
        if not different:
            return [Finding(Severity.damage, place, "no copy of this erase key holds")]
        if any(map(is_erased, different)):
            for owner in (decode_key(data, bytes.fromhex(name))[0] for data in different):
                if owner in known:
                    return self._spare(owner, copies, self._places(name, directories))
            return self._erase_again(copies, self._places(name, directories))
        if len(different) > 1:
            return [Finding(Severity.damage, place, COPIES_DIFFER)]
        (good,) = different
        findings = []
        for path in self._places(name, directories):
            if copies[path] is not None:
                continue
            what = "damaged" if self._door.exists(path) else "missing"
            sentence = f"this copy of the erase key was {what} and was written again from the other one"
            try:
                write_file(self._door, path, good)
            except OSError as error:
                # The vault still opens: one good copy is enough to work with.
                sentence = f"this copy of the erase key is {what} and cannot be written: {error}"
                self._note_lacking(path.parent, name)
            findings.append(Finding(Severity.warning, str(path), sentence))
        return findings

    def _erase_again(self, copies: dict[Path, bytes | None], places: Sequence[Path]) -> list[Finding]:
        """A copy that a disk brought back, or a damaged one, is written over in its place, not beside it."""
        erased = next(data for data in copies.values() if data is not None and is_erased(data))
        findings = []
        for path in dict.fromkeys([*places, *copies]):
            is_here = self._door.exists(path)
            held = copies.get(path)
            if (held is not None and is_erased(held)) or not (is_here or path in places):
                continue
            sentence = "this erase key was erased for ever; a copy that was still here was erased too"
            try:
                if is_here:
                    self._write_over(path, erased)
                else:
                    write_file(self._door, path, erased)
            except OSError as error:
                sentence = f"this erase key was erased for ever, and a copy cannot be erased: {error}"
            findings.append(Finding(Severity.warning, str(path), sentence))
        return findings

    def _spare(self, owner: Owner, copies: dict[Path, bytes | None], places: Sequence[Path]) -> list[Finding]:
        """The mark is of a history that another one won against, or lost its entry: what opens now needs the key."""
        marked = [path for path, data in copies.items() if data is not None and is_erased(data)]
        good = {data for path, data in copies.items() if data is not None and path not in marked}
        what = f"the erase key of {owner.name} was erased for ever, but the vault's history has that {owner.kind.name}"
        if len(good) != 1:
            fate = COPIES_DIFFER if good else "no good copy is here: nothing under it opens"
        else:
            failed = self._write_good(dict.fromkeys([*places, *marked]), copies, *good)
            fate = f"its good copy was kept{f', but {failed}' if failed else ' and written over the mark'}"
            fate += "; if a password was changed then, change it again"
        if good:
            self._spared |= {owner}
        return [Finding(Severity.damage, str(marked[0]), f"{what}: {fate}")]

    def _write_good(self, paths: Iterable[Path], copies: dict[Path, bytes | None], good: bytes) -> str:
        """What cannot be written, if anything: the vault works with the copy that it has."""
        failed = ""
        for path in paths:
            if copies.get(path) == good:
                continue
            try:
                write_file(self._door, path, good)
            except OSError as error:
                failed = f"{path} cannot be written: {error}"
                if path.parent in self._directories:
                    self._note_lacking(path.parent, path.name.partition(".")[0])
        return failed

    def _write_over(self, path: Path, data: bytes) -> None:
        handle = self._door.open_write(path)
        try:
            self._door.pwrite(handle, data, 0)
            self._door.truncate(handle, len(data))
            self._door.fdatasync(handle)
        finally:
            self._door.close(handle)

    def _read_good(self, path: Path, name: str) -> bytes | None:
        try:
            data = read_file(self._door, path) if self._door.exists(path) else b""
        except OSError:
            return None
        return None if check_key(data, name) else data

    def load(self, owner: Owner) -> bytes:
        """The key, from whichever copy holds."""
        return self._load_all(owner)[0]

    def wrap(self, owner: Owner, purpose: str, item_id: bytes, plaintext: bytes) -> bytes:
        head = _WRAP.pack(_WRAP_MAGIC, _WRAP_VERSION, owner.kind, bytes(2), owner.id)
        nonce = os.urandom(_NONCE_BYTES)
        associated = head + purpose.encode() + item_id
        return head + checksum(head) + nonce + AESGCM(self.load(owner)).encrypt(nonce, plaintext, associated)

    def unwrap(self, owners: Collection[Owner], purpose: str, item_id: bytes, wrapped: bytes) -> bytes:
        """Under the erase key that the wrap names, if that is one of these owners'."""
        item = f"{purpose} {item_id.hex()}"
        head, nonce, body = _split(wrapped, item)
        owner = _owner_of(head, item)
        if owner not in owners:
            raise FormatError(f"the header of the wrapped {item} names {owner.name}, whose it is not")
        for key in self._load_all(owner):
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(nonce, body, head + purpose.encode() + item_id)
        self._refuse_unread(owner)
        raise RecordDamaged(f"the {item} of {owner.name} is damaged")

    def _files(self, name: str) -> list[Path]:
        """Wherever a copy may lie."""
        return [directory / (name + suffix) for directory in self._everywhere for suffix in _SUFFIXES]

    def _note_lacking(self, directory: Path, name: str) -> None:
        self._lacking = self._lacking | {directory: self._lacking.get(directory, frozenset()) | {name}}

    def _writable(self) -> Sequence[Path]:
        directories = self._here()
        if not directories:
            raise DiskMissing("there is no disk to write an erase key to: bring one of the first two back")
        return directories

    def _places(self, name: str, directories: Sequence[Path]) -> list[Path]:
        """Where the two copies go: on two disks, or side by side on a single one."""
        if len(directories) == 1:
            return [directories[0] / (name + suffix) for suffix in _SUFFIXES]
        return [directory / (name + _SUFFIXES[0]) for directory in directories]

    def _load_all(self, owner: Owner) -> list[bytes]:
        """The keys in the good copies: one, unless the copies differ."""
        files = dict.fromkeys(self._find(owner))
        if not files:
            self._refuse_unread(owner)
            raise StoreError(f"the erase key of {owner.name} is gone: it was erased, or its disks are offline")
        keys = [decode_key(data, owner.id)[1] for data in files]
        if ERASED in keys:
            raise StoreError(f"the erase key of {owner.name} was erased for ever")
        return keys

    def _refuse_unread(self, owner: Owner) -> None:
        """A copy that the system does not give now, for want of descriptors for example, may be the one that opens."""
        for path in self._files(owner.id.hex()):
            try:
                if self._door.exists(path):
                    read_file(self._door, path)
            except OSError as error:
                raise KeyUnread(f"the erase key of {owner.name} cannot be read now: {error}") from error

    def _find(self, owner: Owner) -> Iterator[bytes]:
        """Every good copy; a mark too, where it counts."""
        for path in self._files(owner.id.hex()):
            if self._door.exists(path):
                data = self._read(path, owner)
                if data is not None and not (owner in self._spared and is_erased(data)):
                    yield data

    def _read(self, path: Path, owner: Owner) -> bytes | None:
        """None for a copy that is damaged, also where the disk refuses to read it."""
        try:
            data = read_file(self._door, path)
            held, _ = decode_key(data, owner.id)
        except (FormatError, OSError):
            return None
        return data if held == owner else None


def _lacking_sentence(count: int) -> str:
    what = "an erase key is" if count == 1 else f"{count} erase keys are"
    why = "this disk was not here, or could not be written to, when that was to be done"
    return f"{what} on the other disk only: {why}; it is made up for when the disk is back, or by a restart"


def _owner_of(head: bytes, item: str) -> Owner:
    """Whose erase key opens a wrap, as its own header says."""
    magic, version, kind, reserved, owner_id = _WRAP.unpack(head)
    is_known = magic == _WRAP_MAGIC and version == _WRAP_VERSION and kind in OwnerKind._value2member_map_
    if not is_known or any(reserved):
        raise NewerFormat(f"the wrapped {item} with magic {magic.hex()} version {version}")
    return Owner(OwnerKind(kind), owner_id)


def _split(wrapped: bytes, item: str) -> tuple[bytes, bytes, bytes]:
    """Head, nonce and ciphertext; FormatError for a damaged head."""
    nonce = _WRAP.size + CHECKSUM_BYTES
    body = nonce + _NONCE_BYTES
    head = wrapped[: _WRAP.size]
    if len(wrapped) < body or checksum(head) != wrapped[_WRAP.size : nonce]:
        raise FormatError(f"the header of the wrapped {item} is damaged: its length or checksum does not hold")
    return head, wrapped[nonce:body], wrapped[body:]
