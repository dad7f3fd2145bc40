"""A vault whose safeset uses millions of chunks is marked and swept: `python -m benchmarks.load.marking DIR IDS SEED`.

It goes through the daemon's own layers. Companions are real records; the rows of the chunks are in the index, and lead
to a container that is not there: nobody reads them. Of all rows every other one is marked. One line of JSON for each
step.
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from benchmarks.processes import anonymous_bytes
from vaultd.catalog.safesets import save_safeset
from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations import ledger
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.container_use import ContainerUse
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.records import Safeset
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index_rows import IndexBatch, IndexRecord
from vaultd.store.record_format import parse_header

IDS_PER_COMPANION = 1_000
CHILDREN_MAX = 5_000
ROWS_AT_ONCE = 50_000
CHUNK_BYTES = 1 << 20
OWNER = tuple(bytes([number]) * 16 for number in range(1, 6))  # account, job, computer, run, keyring
KEY = b"k" * 16


def main() -> None:
    directory, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    vault = open_vault(load_config(directory), SystemClock(), SystemDoor())
    fill(vault, count, seed)
    before = anonymous_bytes([os.getpid()])
    work = KeyringCollection(vault, OWNER[0], OWNER[4], ContainerUse())
    work.begin()
    tell("marked", work.mark(), work, before)
    tell("swept", drops(work), work, before)
    work.end()
    close_vault(vault)


def tell(case: str, pieces: Iterator[object], work: KeyringCollection, before_bytes: int) -> None:
    wall, cpu, peak = time.perf_counter(), time.process_time(), 0
    for number, _ in enumerate(pieces):
        if number % 20 == 0:
            peak = max(peak, anonymous_bytes([os.getpid()]))
    figures = {
        "step": case,
        "ids": work.records_marked if case == "marked" else work.records_swept,
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "vault_cpu_seconds": round(time.process_time() - cpu, 3),
        "vault_peak_anonymous_bytes": max(peak, anonymous_bytes([os.getpid()])),
        "before_anonymous_bytes": before_bytes,
    }
    print(json.dumps(figures), flush=True)


def drops(work: KeyringCollection) -> Iterator[None]:
    for rows in work.sweep():
        if rows:
            work.would_drop(rows)
        yield


def fill(vault: Vault, count: int, seed: int) -> None:
    """`count` rows, of which a half stands in companions, under one safeset."""
    numbers = random.Random(seed)
    companions: list[tuple[bytes, bytes]] = []
    for at in range(0, count, ROWS_AT_ONCE):
        ids = [numbers.randbytes(32) for _ in range(min(ROWS_AT_ONCE, count - at))]
        rows = [IndexRecord(OWNER[4], id_, KEY, 1 << 40, 0, CHUNK_BYTES, 1, id_) for id_ in ids]
        vault.store._index.apply(IndexBatch(records=rows))
        used = ids[::2]
        for start in range(0, len(used), IDS_PER_COMPANION):
            companions.append(store(vault, 0, sorted(used[start : start + IDS_PER_COMPANION]), []))
    level = 0
    while len(companions) > 1:
        level += 1
        parts = [companions[at : at + CHILDREN_MAX] for at in range(0, len(companions), CHILDREN_MAX)]
        companions = [store(vault, level, sorted({one for one, _ in part}), [two for _, two in part]) for part in parts]
    ((block, top),) = companions
    head = struct.pack("<4sBBBB16sI16s16s16s", b"SST1", 1, 1, 1, 0, OWNER[4], 1, *OWNER[1:4])
    head += struct.pack("<IQ32sq32s32s32sB7s8Q", 1, 1, bytes(32), 0, bytes(32), block, top, level, bytes(7), *[0] * 8)
    safeset = Safeset(1, 1, OWNER[1], OWNER[4], OWNER[3], head + bytes(64), bytes(32), block, bytes(64), 1, "daily")
    ledger.record(vault, [("owners", OWNER[4], OWNER[0]), *save_safeset(OWNER[0], safeset)])


def store(vault: Vault, level: int, ids: list[bytes], children: list[bytes]) -> tuple[bytes, bytes]:
    """The id of a block that is nowhere, and that of its companion, which is stored."""
    body = struct.pack("<BI", level, len(ids)) + b"".join(ids) + struct.pack("<I", len(children)) + b"".join(children)
    name = blake3(body).digest()
    head = struct.pack("<4sBBBB16s16s32sI", b"SSC1", 1, 0, 3, 0, OWNER[4], bytes(16), name, len(body))
    record = head + blake3(head).digest()[:8] + body
    vault.store.append(0, [StoredRecord(parse_header(record), blake3(record).digest(), record)])
    ledger.write(vault)
    return blake3(b"block" + name).digest(), name


if __name__ == "__main__":
    main()
