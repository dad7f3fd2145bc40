"""Erase keys, and the wrap that every slot and sealed run key at rest is in."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .damage import Damage, require, require_zero
from .hashing import require_checksum

ERASE_KEY = struct.Struct("<4sBB2s16s32s8s")
WRAP = struct.Struct("<4sBB2s16s8s12s")
JOB, KEYRING, SLOT = 1, 2, 3


@dataclass(frozen=True, slots=True)
class EraseKey:
    owner_kind: int
    owner: bytes
    key: bytes


def parse_erase_key(raw: bytes) -> EraseKey:
    require(len(raw) == ERASE_KEY.size, f"an erase key has {len(raw)} bytes")
    magic, version, kind, reserved, owner, key, _ = ERASE_KEY.unpack(raw)
    require(magic == b"SSE1", f"{magic!r} is not the magic of an erase key")
    require_checksum(raw, 56, "an erase key")
    require(version == 1, f"erase key version {version} is unknown")
    require(kind in (JOB, KEYRING, SLOT), f"erase key owner kind {kind} is unknown")
    require_zero(reserved, "an erase key")
    return EraseKey(kind, owner, key)


def read_erase_keys(directories: Iterable[Path]) -> dict[bytes, EraseKey]:
    """By owner; a damaged copy is passed over where another one reads."""
    found: dict[bytes, EraseKey] = {}
    for path in sorted(path for directory in directories for path in directory.glob("*.key*")):
        try:
            erase_key = parse_erase_key(path.read_bytes())
        except Damage:
            continue
        require(path.stem == erase_key.owner.hex(), f"{path} holds the key of {erase_key.owner.hex()}")
        require(found.setdefault(erase_key.owner, erase_key) == erase_key, f"{path} differs from its other copy")
    return found


def wrap_owner(wrapped: bytes) -> bytes:
    require(len(wrapped) >= WRAP.size + 16, "a wrapped value is cut short")
    magic, version, kind, reserved, owner, _, _ = WRAP.unpack_from(wrapped)
    require(magic == b"SSW1", f"{magic!r} is not the magic of a wrapped value")
    require_checksum(wrapped[:32], 24, "a wrapped value")
    require(version == 1, f"wrap version {version} is unknown")
    require(kind in (JOB, KEYRING, SLOT), f"wrap owner kind {kind} is unknown")
    require_zero(reserved, "a wrapped value")
    return owner


def unwrap(wrapped: bytes, erase_key: EraseKey, purpose: str, item_id: bytes) -> bytes:
    """`purpose` is "slot" or "run_key"; `item_id` is the id of the slot or of the key."""
    require(wrap_owner(wrapped) == erase_key.owner, "a wrapped value has another owner than the erase key")
    require(wrapped[5] == erase_key.owner_kind, "a wrapped value has another owner kind than the erase key")
    associated = wrapped[:24] + purpose.encode("ascii") + item_id
    try:
        return AESGCM(erase_key.key).decrypt(wrapped[32:44], wrapped[44:], associated)
    except InvalidTag as error:
        raise Damage("a wrapped value does not open with its erase key") from error
