"""BLAKE3 in the three ways of the page, and msgpack without trailing bytes."""

from __future__ import annotations

from typing import Any

import msgpack
from blake3 import blake3

from .damage import Damage, require


def plain(data: bytes) -> bytes:
    return blake3(data).digest()


def keyed(key: bytes, data: bytes) -> bytes:
    return blake3(data, key=key).digest()


def kdf(key: bytes, label: bytes, length_bytes: int) -> bytes:
    return blake3(label, key=key).digest(length=length_bytes)


def require_checksum(raw: bytes, covered_bytes: int, where: str) -> None:
    """The short checksum: the first 8 bytes of the hash of everything before it."""
    stored = raw[covered_bytes : covered_bytes + 8]
    require(stored == plain(raw[:covered_bytes])[:8], f"the checksum of {where} is wrong")


def each_key_once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key of a map comes twice")
    return dict(pairs)


def unpack(raw: bytes, where: str) -> Any:
    try:
        return msgpack.unpackb(raw, raw=False, strict_map_key=False, object_pairs_hook=each_key_once)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Damage(f"{where} is not one msgpack value: {error}") from error
