"""Everything that index and catalog of a vault hold, read with plain lmdb from docs/format.md: private numbers are
replaced by the ids that they stand for."""

import struct
from dataclasses import dataclass
from pathlib import Path

import lmdb

TABLES = 64
VALUE = struct.Struct("<QIIBB2sI16s8s")
CONTAINER = struct.Struct("<16sQQQB8s")
POSITION = struct.Struct("<IQ32s")

Named = tuple[bytes, bytes]  # keyring and id


@dataclass(frozen=True)
class Place:
    container: int
    offset: int
    length: int
    type: int
    flags: int
    key_id: bytes
    cid_prefix: bytes


@dataclass(frozen=True)
class Held:
    disk_id: bytes
    acknowledged: int
    indexed: int
    is_sealed: bool


@dataclass(frozen=True)
class IndexDump:
    """`first_entries` apart: a new index may know a later one."""

    records: dict[Named, Place]
    containers: dict[int, Held]
    first_entries: dict[int, int]
    position: tuple[int, int, bytes]
    vault: bytes

    @property
    def whole(self) -> dict[Named, Place]:
        """Records that are not flagged as damaged."""
        return {name: place for name, place in self.records.items() if not place.flags}


Catalog = dict[str, dict[bytes, bytes]]


def databases(path: Path) -> Catalog:
    with lmdb.open(str(path), max_dbs=TABLES, readonly=True, lock=False, create=False) as environment:
        with environment.begin() as transaction:
            names = [bytes(name) for name, _ in transaction.cursor()]
        found = {}
        for name in names:
            database = environment.open_db(name, create=False)
            with environment.begin(db=database) as transaction:
                found[name.decode()] = dict(transaction.cursor())
    return found


def dump_catalog(directory: Path) -> Catalog:
    return databases(directory / "catalog")


def dump_index(directory: Path) -> IndexDump:
    tables = databases(directory / "index")
    keyrings = {value[:4]: id_ for id_, value in tables["keyrings"].items()}
    keys = {struct.unpack(">I", value[:4])[0]: id_ for id_, value in tables["keys"].items()}
    given_up = {key[8:] for key in tables["meta"] if key.startswith(b"given_up")}
    records = {}
    for key, value in tables["records"].items():
        container, offset, length, kind, flags, _, number, prefix, _ = VALUE.unpack(value)
        flags += 2 * (key[:4] + struct.pack(">I", number) in given_up)
        records[keyrings[key[:4]], key[4:]] = Place(container, offset, length, kind, flags, keys[number], prefix)
    containers, firsts = {}, {}
    for key, value in tables["containers"].items():
        (container,) = struct.unpack(">Q", key)
        disk_id, acknowledged, indexed, firsts[container], sealed, _ = CONTAINER.unpack(value)
        containers[container] = Held(disk_id, acknowledged, indexed, bool(sealed))
    meta = tables["meta"]
    position = POSITION.unpack(meta[b"position"][: POSITION.size])
    return IndexDump(records, containers, firsts, position, meta[b"vault"])
