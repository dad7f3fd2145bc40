"""Fills a vault's store beside any agent: `python -m benchmarks.store_filler DIR RECORDS BODY_BYTES SEED`.

It goes through the daemon's own layers, with one commit after each group of RECORDS_PER_COMMIT, or of 32 MiB; killing
it leaves what a daemon leaves that is killed in mid-upload. RECORDS 0 goes on until it is killed; the first line says
that it writes.
"""

from __future__ import annotations

import os
import random
import struct
import sys
from pathlib import Path

from blake3 import blake3

from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations import ledger
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.disk_door import SystemDoor
from vaultd.store.record_format import parse_header

RECORDS_PER_COMMIT = 1000
BYTES_PER_COMMIT_MAX = 32 << 20


def fill(vault: Vault, records: int, body_bytes: int, seed: int) -> tuple[bytes, list[bytes]]:
    """The keyring and its one run key are made from the seed; the bodies are random bytes that nobody opens. Answers
    the keyring and the ids of the last group.
    """
    numbers = random.Random(seed)
    keyring, key = numbers.randbytes(16), numbers.randbytes(16)
    ledger.record(vault, [("run_key_owners", key, bytes(16) + keyring)])
    written, group = 0, list[StoredRecord]()
    per_commit = min(RECORDS_PER_COMMIT, max(BYTES_PER_COMMIT_MAX // body_bytes, 1))
    while not records or written < records:
        group = [make_record(keyring, key, os.urandom(body_bytes)) for _ in range(per_commit)]
        vault.store.append(0, group)
        ledger.write(vault)
        written += len(group)
    return keyring, [record.header.id for record in group]


def make_record(keyring: bytes, key: bytes, body: bytes) -> StoredRecord:
    """As docs/format.md#record draws it."""
    name = blake3(body).digest()
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, keyring, key, name, len(body))
    record = head + blake3(head).digest()[:8] + body
    return StoredRecord(parse_header(record), blake3(record).digest(), record)


def main() -> None:
    directory, records, body_bytes, seed = sys.argv[1:]
    vault = open_vault(load_config(Path(directory)), SystemClock(), SystemDoor())
    print("writing", flush=True)
    fill(vault, int(records), int(body_bytes), int(seed))
    close_vault(vault)


if __name__ == "__main__":
    main()
