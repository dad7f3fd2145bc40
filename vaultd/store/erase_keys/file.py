"""The small file that holds an erase key (docs/format.md#erase-keys)."""

from enum import IntEnum
from struct import Struct as Layout
from typing import NamedTuple

from vaultd.checksum import checksum
from vaultd.store.errors import FormatError, NewerFormat

KEY_BYTES = 32
# Where a key is destroyed for ever: it wins over every copy that comes back with a disk.
ERASED = bytes(KEY_BYTES)
_MAGIC = b"SSE1"
_VERSION = 1
_FILE = Layout("<4sBB2s16s32s")
_CHECKSUM_BYTES = 8


class OwnerKind(IntEnum):
    job = 1
    keyring = 2
    slot = 3


class Owner(NamedTuple):
    kind: OwnerKind
    id: bytes

    @property
    def name(self) -> str:
        return f"{self.kind.name} {self.id.hex()}"


def encode_key(owner: Owner, key: bytes) -> bytes:
    head = _FILE.pack(_MAGIC, _VERSION, owner.kind, bytes(2), owner.id, key)
    return head + checksum(head)


def decode_key(data: bytes, owner_id: bytes) -> tuple[Owner, bytes]:
    """Owner and key, of whatever kind the owner is. FormatError for damage and for another owner's.

    The checksum is at the end in every version, so that a longer file of a later one is not taken for damage.
    """
    body = data[:-_CHECKSUM_BYTES]
    if len(body) < _FILE.size or checksum(body) != data[-_CHECKSUM_BYTES:]:
        raise FormatError(f"the erase key file of {owner_id.hex()} is damaged: its length or checksum does not hold")
    magic, version, kind, reserved, held_id, key = _FILE.unpack_from(data)
    if (
        len(body) != _FILE.size
        or magic != _MAGIC
        or version != _VERSION
        or any(reserved)
        or kind not in OwnerKind._value2member_map_
    ):
        raise NewerFormat(f"the erase key file of {owner_id.hex()} with magic {magic.hex()} version {version}")
    if held_id != owner_id:
        raise FormatError(f"the erase key file of {owner_id.hex()} belongs to {held_id.hex()}")
    return Owner(OwnerKind(kind), held_id), bytes(key)


def check_key(data: bytes, owner_hex: str) -> str:
    """What is wrong with a key file, for whoever knows only the owner in its name."""
    if len(owner_hex) != 32 or set(owner_hex) - set("0123456789abcdef"):
        return "its name is not that of an owner"
    try:
        decode_key(data, bytes.fromhex(owner_hex))
    except FormatError:
        return "this copy of the erase key is damaged or of another owner"
    return ""


def is_erased(data: bytes) -> bool:
    """Of a file that holds."""
    return _FILE.unpack_from(data)[-1] == ERASED
