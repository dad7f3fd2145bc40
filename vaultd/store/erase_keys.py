"""Erase keys: slots and sealed run keys at rest are readable only as long as one small file exists
(docs/format.md#erase-keys).

Invariants: two copies of a key, outside of index, journal and catalog; a key is durable before anything is wrapped
under it; one good key is never written over another; nothing is kept in memory, so a destroyed key is gone at once.
Threads: `create` in the writer thread, the rest in any.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from struct import Struct as Layout
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vaultd.store.checksum import checksum
from vaultd.store.disk_door import Door, read_file, write_file
from vaultd.store.errors import FormatError, RecordDamaged, StoreError
from vaultd.store.findings import Finding, Severity

_KEY_MAGIC = b"SSE1"
_WRAP_MAGIC = b"SSW1"
_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_FILE = Layout("<4sBB2s16s32s")
_FILE_BYTES = 64
_WRAP = Layout("<4sBB2s16s")
_SUFFIXES = (".key", ".key2")
COPIES_DIFFER = "its copies hold different keys: each may open something, so none was touched; keep them all"


class OwnerKind(IntEnum):
    job = 1
    keyring = 2


class Owner(NamedTuple):
    kind: OwnerKind
    id: bytes


class EraseKeys:
    def __init__(self, door: Door, directories: Sequence[Path]) -> None:
        """`directories` of the first two disks that are here."""
        self._door = door
        self._directories = tuple(directories)

    def create(self, owner: Owner) -> None:
        """Durable in both copies when it returns. A repeat keeps the key and completes its copies.

        Where only damaged copies are here a new key would hide what was wrapped under the old one.
        """
        found = next(self._find(owner), None)
        if found is None and any(self._door.exists(path) for path in self._files(owner.id.hex())):
            name = f"{owner.kind.name} {owner.id.hex()}"
            raise StoreError(
                f"every copy of the erase key of {name} that is here is damaged: bring the other disk back"
            )
        data = found or encode_key(owner, os.urandom(_KEY_BYTES))
        for path in self._places(owner.id.hex()):
            if not self._door.exists(path) or self._read(path, owner) is None:
                write_file(self._door, path, data)

    def mend(self) -> list[Finding]:
        """Brings every key onto all of its places: one that was made while a disk was away lies on the other twice."""
        findings = []
        names: set[str] = set()
        for directory in self._directories:
            try:
                files = [name for name in self._door.listdir(directory) if name.endswith(_SUFFIXES)]
            except OSError as error:
                findings.append(Finding(Severity.damage, str(directory), f"the disk cannot be read: {error}"))
                continue
            names |= {name.partition(".")[0] for name in files}
        return findings + [finding for name in sorted(names) for finding in self._mend_key(name)]

    def _mend_key(self, name: str) -> list[Finding]:
        copies = {path: self._read_good(path, name) for path in self._files(name)}
        different = {data for data in copies.values() if data is not None}
        place = str(self._directories[0] / name)
        if not different:
            return [Finding(Severity.damage, place, "no copy of this erase key holds")]
        if len(different) > 1:
            return [Finding(Severity.damage, place, COPIES_DIFFER)]
        (good,) = different
        findings = []
        for path in self._places(name):
            if copies[path] is not None:
                continue
            sentence = "a copy of this erase key was missing or damaged and was written again from another"
            try:
                write_file(self._door, path, good)
            except OSError as error:
                # The vault still opens: one good copy is enough to work with.
                sentence = f"a copy of this erase key is missing or damaged and cannot be written: {error}"
            findings.append(Finding(Severity.warning, str(path), sentence))
        return findings

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
        head = _WRAP.pack(_WRAP_MAGIC, _VERSION, owner.kind, bytes(2), owner.id)
        nonce = os.urandom(_NONCE_BYTES)
        associated = head + purpose.encode() + item_id
        return head + nonce + AESGCM(self.load(owner)).encrypt(nonce, plaintext, associated)

    def unwrap(self, owner: Owner, purpose: str, item_id: bytes, wrapped: bytes) -> bytes:
        head, nonce, body = _split(wrapped)
        name = f"{purpose} {item_id.hex()} of {owner.kind.name} {owner.id.hex()}"
        if head != _WRAP.pack(_WRAP_MAGIC, _VERSION, owner.kind, bytes(2), owner.id):
            raise FormatError(f"the header of the wrapped {name} is not as it should be")
        for key in self._load_all(owner):
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(nonce, body, head + purpose.encode() + item_id)
        raise RecordDamaged(f"the {name} is damaged")

    def _files(self, name: str) -> list[Path]:
        """Wherever a copy may lie."""
        return [directory / (name + suffix) for directory in self._directories for suffix in _SUFFIXES]

    def _places(self, name: str) -> list[Path]:
        """Where the two copies go: on two disks, or side by side on a single one."""
        if len(self._directories) == 1:
            return [self._directories[0] / (name + suffix) for suffix in _SUFFIXES]
        return [directory / (name + _SUFFIXES[0]) for directory in self._directories]

    def _load_all(self, owner: Owner) -> list[bytes]:
        """The keys in the good copies: one, unless the copies differ."""
        files = dict.fromkeys(self._find(owner))
        if not files:
            name = f"{owner.kind.name} {owner.id.hex()}"
            raise StoreError(f"the erase key of {name} is gone: it was erased, or its disks are offline")
        return [decode_key(data, owner) for data in files]

    def _find(self, owner: Owner) -> Iterator[bytes]:
        """Every good copy."""
        for path in self._files(owner.id.hex()):
            if self._door.exists(path):
                data = self._read(path, owner)
                if data is not None:
                    yield data

    def _read(self, path: Path, owner: Owner) -> bytes | None:
        """None for a copy that is damaged, also where the disk refuses to read it."""
        try:
            data = read_file(self._door, path)
            decode_key(data, owner)
        except (FormatError, OSError):
            return None
        return data


def encode_key(owner: Owner, key: bytes) -> bytes:
    head = _FILE.pack(_KEY_MAGIC, _VERSION, owner.kind, bytes(2), owner.id, key)
    return head + checksum(head)


def decode_key(data: bytes, owner: Owner) -> bytes:
    if len(data) != _FILE_BYTES or checksum(data[: _FILE.size]) != data[_FILE.size :]:
        raise FormatError(f"the erase key file of {owner.id.hex()} is damaged: its length or checksum does not hold")
    magic, version, kind, reserved, owner_id, key = _FILE.unpack_from(data)
    if magic != _KEY_MAGIC or version != _VERSION or any(reserved):
        raise FormatError(f"the erase key file of {owner.id.hex()}: magic {magic.hex()} version {version} is unknown")
    if (kind, owner_id) != owner:
        raise FormatError(f"the erase key file of {owner.id.hex()} belongs to {owner_id.hex()}")
    return bytes(key)


def check_key(data: bytes, owner_hex: str) -> str:
    """What is wrong with a key file, for the offline check, which knows only the owner in its name."""
    if len(owner_hex) != 32 or set(owner_hex) - set("0123456789abcdef"):
        return "its name is not that of an owner"
    kinds = (Owner(kind, bytes.fromhex(owner_hex)) for kind in OwnerKind)
    if any(_decode_or_none(data, owner) for owner in kinds):
        return ""
    return "this copy of the erase key is damaged or of another owner"


def _decode_or_none(data: bytes, owner: Owner) -> bytes | None:
    try:
        return decode_key(data, owner)
    except FormatError:
        return None


def _split(wrapped: bytes) -> tuple[bytes, bytes, bytes]:
    body = _WRAP.size + _NONCE_BYTES
    return wrapped[: _WRAP.size], wrapped[_WRAP.size : body], wrapped[body:]
