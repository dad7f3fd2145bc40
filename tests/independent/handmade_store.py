"""A whole small store by hand: two disks, a checkpoint, a sealed and an open container, one safeset of two files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgpack

from . import handmade as made

CONTENT = bytes(range(256)) * 5000
SMALL = b"small\n"
SLOT_PASSWORD, SLOT_CODE = b"\x21" * 16, b"\x22" * 16


def manifest_records() -> tuple[list[bytes], made.Tip, bytes]:
    """The records, the top with the hash of the payload, and the payload record."""
    chunks = [made.record_id(1, CONTENT), made.record_id(1, SMALL)]
    big, small = (sorted(chunks).index(chunk) for chunk in chunks)
    entries = [
        made.file_entry(b"src/big", len(CONTENT), made.file_hash(CONTENT), [big, 0, len(CONTENT)]),
        made.file_entry(b"src/small", len(SMALL), made.file_hash(SMALL), [small, 0, len(SMALL)]),
    ]
    block, body = made.leaf(chunks, entries)
    payload = made.record(4, made.payload(made.record_id(2, block), made.h(body), 0))
    tip = made.Tip(made.record_id(2, block), made.h(body), 0, made.h(payload))
    records = [made.record(1, CONTENT, codec=1), made.record(1, SMALL, suite=2), made.record(2, block)]
    return [*records, made.companion(body)], tip, payload


def slot_change(kind: int, slot_id: bytes) -> list[Any]:
    item = (slot_id, made.slot(kind, slot_id))
    wrapped = made.wrapped(2, made.KEYRING, made.ERASE_KEYRING, b"slot", item)
    return ["slots", made.KEYRING + slot_id, msgpack.packb([kind, wrapped])]


def build(directory: Path) -> None:
    records, tip, payload = manifest_records()
    item = (made.RUN_KEY_ID, made.SEALED_RUN_KEY)
    wrapped_run_key = made.wrapped(1, made.JOB, made.ERASE_JOB, b"run_key", item)
    slots = [slot_change(1, SLOT_PASSWORD), slot_change(2, SLOT_CODE)]
    run_key = ["run_keys", made.KEYRING + made.RUN_KEY_ID, msgpack.packb({"sealed": wrapped_run_key})]
    safeset = ["roots", made.JOB + struct.pack(">Q", 1), msgpack.packb([made.root(tip), payload])]
    sealed = made.seal(made.container(1, [records[:1], records[1:3]]), 1, records[:3])
    opened = made.container(2, [records[3:]])
    disk = b"\xd1" * 16
    in_table = ["containers", struct.pack(">Q", 1), msgpack.packb([disk, len(sealed), True])]
    names = [b"".join(made.h(one) for one in part) for part in (records[:3], records[3:])]
    lengths = {"containers": [[1, disk, len(sealed), names[0]], [2, disk, len(opened), names[1]]]}
    old = made.journal([(4, {"changes": slots, "details": {"keyring": made.KEYRING}})])
    later = [
        (5, {"changes": [run_key], "details": {"keyring": made.KEYRING, "key": made.RUN_KEY_ID, "run": made.RUN}}),
        (1, {"changes": [], "details": lengths}),
        (8, {"changes": [safeset], "details": {"job": made.JOB, "run": made.RUN, "hash": made.h(made.root(tip))}}),
    ]
    for number in (1, 2):
        disk_path = directory / f"disk{number}"
        made.write(disk_path / "disk.id", made.disk_identity(number))
        made.write(disk_path / "journal/0000000000000002.journal", made.journal(later, 2, old[-32:]))
        made.write(
            disk_path / "checkpoints/0000000000000001.checkpoint", made.checkpoint(1, old[-32:], [[*slots, in_table]])
        )
        made.write(disk_path / f"erase-keys/{made.JOB.hex()}.key", made.erase_key(1, made.JOB, made.ERASE_JOB))
        keyring_key = made.erase_key(2, made.KEYRING, made.ERASE_KEYRING)
        made.write(disk_path / f"erase-keys/{made.KEYRING.hex()}.key", keyring_key)
    made.write(directory / "disk1/containers/0000/000000000001.container", sealed)
    made.write(directory / "disk1/containers/0000/000000000002.container", opened + b"never acknowledged")
