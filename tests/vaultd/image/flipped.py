"""Flips bits of a small index or catalog, each case in a process of its own, and says of each what became of it.

Run as `python -m tests.vaultd.image.flipped index|catalog DIRECTORY BITS SEED`: so many random bits of each 4 KiB page.
It prints how often which verdict came, and a line for each case that must not be.

Expected answers are those of a dictionary that is filled beside the image.
"""

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vaultd.catalog.database import TABLES, Catalog, Position
from vaultd.errors import VaultError
from vaultd.image.pages import PageFault
from vaultd.image.probe import look_through
from vaultd.store.errors import StoreError
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow, IndexBatch, IndexRecord
from vaultd.store.journal.format import Position as JournalPosition

VAULT, KEYRING, KEY = b"v" * 16, b"k" * 16, b"r" * 16
RECORDS, MORE = 600, 60
HARMLESS, BY_PROBE, BY_READ, WRONG = range(4)
VERDICTS = {HARMLESS: "harmless", BY_PROBE: "probe", BY_READ: "read", WRONG: "WRONG"}


class Earlier(Exception):
    """The state before the last write, whole: it says its position, and the journal after that is applied to it."""


class FlippedIndex:
    def __init__(self) -> None:
        chance = random.Random(7)
        self.ids = [chance.randbytes(32) for _ in range(RECORDS + MORE)]

    def row(self, number: int) -> IndexRecord:
        return IndexRecord(KEYRING, self.ids[number], KEY, 1 + number % 5, 4096 * number, 1000 + number, 1, bytes(32))

    def build(self, path: Path) -> None:
        index = Index.open(path, VAULT)
        for begin in range(0, RECORDS, 100):
            containers = [
                ContainerRow(number, b"D" * 16, 8192 * begin, 8192 * begin, 1, False) for number in range(1, 6)
            ]
            records = [self.row(number) for number in range(begin, begin + 100)]
            index.apply(
                IndexBatch(records=records, containers=containers, position=JournalPosition(1, begin, b"h" * 32))
            )
        index.close()

    def read(self, path: Path, count: int) -> list[str]:
        """What is wrong in the answers; what is named as damaged is not wrong."""
        index = Index.open(path, VAULT)
        found = [self._one(index, id_) for id_ in self.ids]
        damaged = any(entry.location is None for entry in index.rows())
        position = index.position()
        is_earlier = count == RECORDS and position == JournalPosition(1, RECORDS - 200, b"h" * 32)
        count = RECORDS - 100 if is_earlier else count
        wrong = []
        for number, place in enumerate(found):
            wanted = (1 + number % 5, 4096 * number, 1000 + number) if number < count else None
            if place not in (wanted, "damaged") and not (place is None and damaged):
                wrong.append(f"record {number} at {place}, not {wanted}")
        last = 8192 * (min(count, RECORDS) - 100)
        containers = {number: (row.disk_id, row.acknowledged_length) for number, row in index.containers().items()}
        if containers != {number: (b"D" * 16, last) for number in range(1, 6)}:
            wrong.append(f"containers {containers}")
        if position != JournalPosition(1, count - 100 if count <= RECORDS else count, b"h" * 32):
            wrong.append(f"position {position}")
        index.close()
        if damaged and not wrong:
            raise StoreError("a row does not hold its checksum")
        if is_earlier and not wrong:
            raise Earlier
        return wrong

    def write(self, path: Path) -> None:
        index = Index.open(path, VAULT)
        records = [self.row(number) for number in range(RECORDS, RECORDS + MORE)]
        index.apply(IndexBatch(records=records, position=JournalPosition(1, RECORDS + MORE, b"h" * 32)))
        index.close()

    def image(self, path: Path) -> object:
        return Index.image(path)

    @staticmethod
    def _one(index: Index, id_: bytes) -> tuple[int, int, int] | str | None:
        try:
            (location,) = index.lookup(KEYRING, [id_])
        except StoreError:
            return "damaged"
        return None if location is None else (location.container, location.offset, location.length)


class FlippedCatalog:
    def __init__(self) -> None:
        chance = random.Random(8)
        self.rows = {
            (table, chance.randbytes(chance.choice((1, 16, 32, 48)))): chance.randbytes(
                chance.choice((0, 16, 300, 900))
            )
            for table in TABLES
            for _ in range(12)
        }
        self.rows |= {("slots", chance.randbytes(49)): chance.randbytes(size) for size in (2500, 6000, 20000)}
        self.more = {("audit", b"z" + bytes([number])): bytes(200) for number in range(MORE)}

    def build(self, path: Path) -> None:
        catalog = Catalog.open(path)
        rows = [(table, key, value) for (table, key), value in self.rows.items()]
        for number in range(4):
            part = rows[number::4]
            passing = [("runs", b"p" + bytes([at, number]), bytes(500)) for at in range(20)]
            catalog.apply([*part, *passing], Position(1, 2 * number + 1, b"h" * 32))
            gone = [(table, key, None) for table, key, _ in passing]
            catalog.apply(gone, Position(1, 2 * number + 2, b"h" * 32))
        catalog.close()

    def read(self, path: Path, count: int) -> list[str]:
        wanted = self.rows | (self.more if count > RECORDS else {})
        catalog = Catalog.open(path)
        is_earlier = count == RECORDS and catalog.position() == Position(1, 7, b"h" * 32)
        if is_earlier:
            wanted |= {("runs", b"p" + bytes([at, 3])): bytes(500) for at in range(20)}
        with catalog.read() as view:
            wrong = [f"{table} {key.hex()}" for (table, key), value in wanted.items() if view.get(table, key) != value]
            if {(table, key): value for table, key, value in view.rows()} != wanted:
                wrong.append("the rows")
            if view.position() != Position(1, 9 if count > RECORDS else 7 if is_earlier else 8, b"h" * 32):
                wrong.append(f"position {view.position()}")
        catalog.close()
        if is_earlier and not wrong:
            raise Earlier
        return wrong

    def write(self, path: Path) -> None:
        catalog = Catalog.open(path)
        catalog.apply([(*name, value) for name, value in self.more.items()], Position(1, 9, b"h" * 32))
        catalog.close()

    def image(self, path: Path) -> object:
        return Catalog.image(path)


KINDS: dict[str, Callable[[], FlippedIndex | FlippedCatalog]] = {"index": FlippedIndex, "catalog": FlippedCatalog}


def judge(image: FlippedIndex | FlippedCatalog, path: Path, say: Callable[[str], None]) -> int:
    """In the process of the case. A first line says that the probe took it for whole: death after it is WRONG."""
    try:
        look_through(image.image(path))
    except PageFault:
        return BY_PROBE
    say("believed\n")
    try:
        wrong = image.read(path, RECORDS)
        if not wrong:
            image.write(path)
            wrong = [f"after a write: {one}" for one in image.read(path, RECORDS + MORE)]
    except (VaultError, StoreError):
        return BY_READ
    except Earlier:
        return HARMLESS
    if wrong:
        say(f"{wrong[:3]}\n")
    return WRONG if wrong else HARMLESS


def run_case(image: FlippedIndex | FlippedCatalog, data: bytes, bit: int, path: Path) -> tuple[int, str]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    (path / "data.mdb").write_bytes(changed)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        verdict = WRONG
        try:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # LMDB's last words
            verdict = judge(image, path, lambda text: os.write(writing, text.encode()) and None)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(verdict)
    os.close(writing)
    with os.fdopen(reading) as lines:
        said = lines.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return (WRONG, f"died of signal {-status} after it was believed") if said else (BY_PROBE, "")
    return status, said


def main(kind: str, directory: Path, bits: int, seed: int) -> None:
    image = KINDS[kind]()
    image.build(directory / "whole")
    data = (directory / "whole" / "data.mdb").read_bytes()
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    for page in range(len(data) // 4096):
        for _ in range(bits):
            bit = page * 4096 * 8 + chance.randrange(4096 * 8)
            verdict, said = run_case(image, data, bit, directory / "case")
            counts[VERDICTS.get(verdict, "WRONG")] += 1
            if verdict not in (HARMLESS, BY_PROBE, BY_READ):
                print(f"WRONG: page {page} bit {bit % 32768}: {said.strip()}", flush=True)
    print(json.dumps({"pages": len(data) // 4096} | counts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
