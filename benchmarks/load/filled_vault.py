"""Fills a vault with one safeset that uses IDS chunks: `python -m benchmarks.load.filled_vault DIR IDS SEED`, with a
fourth word `free-pages` if the index is to keep the lists of free pages that the filling leaves.

It goes through the daemon's own layers. Companions are real records; the rows of the chunks are in the index, and lead
to a container that is not there: nobody reads them, and no collection drops them, because its number is above all
others. For ten that are used there is one that is not. A process of its own: what it leaves allocated is nobody's
figure.
"""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import lmdb
from blake3 import blake3

from vaultd.catalog.safesets import save_safeset
from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations import ledger
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.records import Safeset
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index_rows import IndexBatch, IndexRecord
from vaultd.store.record_format import parse_header

IDS_PER_COMPANION = 1_000
CHILDREN_MAX = 5_000
# In one transaction: with small ones each of the rows would have a page of the index written.
USED_AT_ONCE = 500_000
CHUNK_BYTES = 1 << 20
OWNER = tuple(bytes([number]) * 16 for number in range(1, 6))  # account, job, computer, run, keyring
KEY = b"k" * 16
FREE_PAGES = "free-pages"


def main() -> None:
    directory, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    vault = open_vault(load_config(directory), SystemClock(), SystemDoor())
    fill(vault, count, seed)
    close_vault(vault)
    if sys.argv[4:] != [FREE_PAGES]:
        drop_free_pages(directory / "index")


def drop_free_pages(index: Path) -> None:
    """The large transactions of the filling leave long lists of free pages, which a vault that grew run by run does not
    have and the first commits would pay for.
    """
    with TemporaryDirectory(dir=index.parent) as copy:
        with lmdb.open(str(index), readonly=True, lock=False) as environment:
            environment.copy(copy, compact=True)
        (Path(copy) / "data.mdb").replace(index / "data.mdb")


def fill(vault: Vault, count: int, seed: int) -> None:
    """`count` rows that stand in companions, under one safeset, and a tenth as many that do not."""
    numbers = random.Random(seed)
    companions: list[tuple[bytes, bytes]] = []
    for at in range(0, count, USED_AT_ONCE):
        used = [numbers.randbytes(32) for _ in range(min(USED_AT_ONCE, count - at))]
        ids = used + [numbers.randbytes(32) for _ in range(len(used) // 10)]
        rows = [IndexRecord(OWNER[4], id_, KEY, 1 << 40, 0, CHUNK_BYTES, 1, id_) for id_ in ids]
        vault.store._index.apply(IndexBatch(records=rows))
        for start in range(0, len(used), IDS_PER_COMPANION):
            companions.append(store(vault, 0, sorted(used[start : start + IDS_PER_COMPANION]), []))
        ledger.write(vault)
    level = 0
    while len(companions) > 1:
        level += 1
        parts = [companions[at : at + CHILDREN_MAX] for at in range(0, len(companions), CHILDREN_MAX)]
        companions = [store(vault, level, sorted({one for one, _ in part}), [two for _, two in part]) for part in parts]
        ledger.write(vault)
    ((block, top),) = companions
    head = struct.pack("<4sBBBB16sI16s16s16s", b"SST1", 1, 1, 1, 0, OWNER[4], 1, *OWNER[1:4])
    head += struct.pack("<IQ32sq32s32s32sB7s8Q", 1, 1, bytes(32), 0, bytes(32), block, top, level, bytes(7), *[0] * 8)
    safeset = Safeset(1, 1, OWNER[1], OWNER[4], OWNER[3], head + bytes(64), bytes(32), block, bytes(64), 1, "daily")
    ledger.record(vault, [("owners", OWNER[4], OWNER[0]), *save_safeset(OWNER[0], safeset)])


def store(vault: Vault, level: int, ids: list[bytes], children: list[bytes]) -> tuple[bytes, bytes]:
    """The id of a block that is nowhere, and that of its companion, which waits for its commit."""
    body = struct.pack("<BI", level, len(ids)) + b"".join(ids) + struct.pack("<I", len(children)) + b"".join(children)
    name = blake3(body).digest()
    head = struct.pack("<4sBBBB16s16s32sI", b"SSC1", 1, 0, 3, 0, OWNER[4], bytes(16), name, len(body))
    record = head + blake3(head).digest()[:8] + body
    vault.store.append(0, [StoredRecord(parse_header(record), blake3(record).digest(), record)])
    return blake3(b"block" + name).digest(), name


if __name__ == "__main__":
    main()
