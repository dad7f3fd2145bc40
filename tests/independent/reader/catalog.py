"""What a restore needs of the catalog: slots, sealed run keys, roots and payloads, wherever its values keep them.

A restore needs no row's layout: the things inside are found by their magic (rows.py reads two of them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack

from .damage import Damage
from .erase_key import EraseKey, unwrap, wrap_owner
from .journal import Tables
from .root import LENGTH_BYTES, Root, parse_root
from .run_key import SealedRunKey, parse_run_key
from .slot import Slot, parse_slot

MAGICS = (b"SSW1", b"SST1", b"SSR1")


@dataclass(slots=True)
class Found:
    slots: dict[bytes, Slot] = field(default_factory=dict)
    run_keys: dict[bytes, SealedRunKey] = field(default_factory=dict)
    roots: dict[bytes, Root] = field(default_factory=dict)
    payload_records: list[bytes] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    erased: int = 0


def byte_strings(value: Any) -> Iterator[bytes]:
    """Every byte string in a msgpack value, in the order it stands; packed values inside are opened too."""
    if isinstance(value, bytes):
        yield value
        if value[:4] not in MAGICS:
            try:
                inner = msgpack.unpackb(value, raw=False, strict_map_key=False)
            except (ValueError, TypeError, msgpack.UnpackException):
                return
            yield from byte_strings(inner)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from byte_strings(key)
            yield from byte_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from byte_strings(item)


def search(tables: Tables, erase_keys: dict[bytes, EraseKey]) -> Found:
    found = Found()
    for rows in tables.values():
        for key, value in rows.items():
            strings = list(byte_strings(value))
            ids = candidate_ids(key, strings)
            for string in strings:
                take(found, string, ids, erase_keys)
    return found


def candidate_ids(key: bytes, strings: list[bytes]) -> list[bytes]:
    """Ids that the wrap may be bound to: any 16 bytes of the row's key, or a 16-byte value in the row."""
    windows = [key[at : at + 16] for at in range(len(key) - 15)]
    return list(dict.fromkeys(windows + [string for string in strings if len(string) == 16]))


def take(found: Found, string: bytes, ids: list[bytes], erase_keys: dict[bytes, EraseKey]) -> None:
    magic = string[:4]
    try:
        if magic == b"SSW1":
            take_wrapped(found, string, ids, erase_keys)
        elif magic == b"SST1" and len(string) == LENGTH_BYTES:
            root = parse_root(string)
            found.roots[root.hash] = root
        elif magic == b"SSR1":
            found.payload_records.append(string)
    except Damage as error:
        found.damaged.append(str(error))


def take_wrapped(found: Found, wrapped: bytes, ids: list[bytes], erase_keys: dict[bytes, EraseKey]) -> None:
    erase_key = erase_keys.get(wrap_owner(wrapped))
    if erase_key is None:
        found.erased += 1
        return
    raw, item_id = unwrap_any(wrapped, ids, erase_key)
    if raw[:4] == b"SSK1":
        slot = parse_slot(raw)
        require_id(slot.id, item_id)
        found.slots.setdefault(slot.id, slot)
    else:
        run_key = parse_run_key(raw)
        require_id(run_key.id, item_id)
        found.run_keys[run_key.id] = run_key


def unwrap_any(wrapped: bytes, ids: list[bytes], erase_key: EraseKey) -> tuple[bytes, bytes]:
    for item_id in ids:
        for purpose in ("slot", "run_key"):
            try:
                return unwrap(wrapped, erase_key, purpose, item_id), item_id
            except Damage:
                continue
    raise Damage(f"a wrapped value of owner {erase_key.owner.hex()} opens with no id of its row")


def require_id(of_content: bytes, of_wrap: bytes) -> None:
    if of_content != of_wrap:
        raise Damage(f"the wrap of {of_wrap.hex()} holds {of_content.hex()}")
