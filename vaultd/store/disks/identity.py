"""The identity file of a disk: who it is, wherever it is mounted (docs/format.md#disk-identity)."""

from pathlib import Path
from struct import Struct as Layout

from msgspec import Struct

from vaultd.checksum import checksum
from vaultd.store.errors import FormatError, NewerFormat

IDENTITY_NAME = "disk.id"
_MAGIC = b"SSI1"
_VERSION = 1
_IDENTITY = Layout("<4sB3s16s16sIq4s")
IDENTITY_BYTES = 64


class Disk(Struct, frozen=True):
    number: int
    disk_id: bytes
    path: Path
    created_ns: int

    def directory(self, name: str) -> Path:
        return self.path / name


def encode_identity(disk: Disk, vault_id: bytes) -> bytes:
    head = _IDENTITY.pack(_MAGIC, _VERSION, bytes(3), vault_id, disk.disk_id, disk.number, disk.created_ns, bytes(4))
    return head + checksum(head)


def decode_identity(data: bytes, path: Path) -> tuple[Disk, bytes]:
    """(disk, vault id)"""
    place = path / IDENTITY_NAME
    if len(data) != IDENTITY_BYTES or checksum(data[: _IDENTITY.size]) != data[_IDENTITY.size :]:
        raise FormatError(f"{place} is damaged: its length or checksum does not hold")
    magic, version, reserved, vault_id, disk_id, number, created_ns, reserved2 = _IDENTITY.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise NewerFormat(f"{place} with magic {magic.hex()} version {version}")
    if any(reserved) or any(reserved2):
        raise NewerFormat(f"{place}, whose reserved bytes are not zero,")
    return Disk(number, disk_id, path, created_ns), vault_id
