"""A stopped vault's directory: its disks, its catalog at the end of the journal, and where every record lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import catalog, checkpoint, container, erase_key, journal
from .damage import Damage, require
from .disk import Disk, find_disks, read_disk


@dataclass(frozen=True, slots=True)
class RecordPlace:
    path: Path
    offset: int
    length: int


class Store:
    """Read whole at once: every container is scanned, every checksum compared."""

    def __init__(self, disks: list[Disk]) -> None:
        require(disks, "there is no disk.id below the directory")
        require(len({disk.vault for disk in disks}) == 1, "the disks belong to different vaults")
        self.disks = disks
        self.entries = journal.read_journal([disk.path / "journal" for disk in disks])
        self.lengths = journal.acknowledged_lengths(self.entries)
        self.named = journal.named_cids(self.entries)
        self.moved = journal.moved_containers(self.entries)
        self.dropped = journal.dropped_places(self.entries)
        self.checkpoint = checkpoint.newest_checkpoint([disk.path / "checkpoints" for disk in disks])
        self.tables = self._tables()
        self.erase_keys = erase_key.read_erase_keys([disk.path / "erase-keys" for disk in disks])
        self.found = catalog.search(self.tables, self.erase_keys)
        self.scans: dict[Path, container.Scan] = {}
        self._places: dict[tuple[bytes, bytes], RecordPlace] = {}
        self._places_by_cid: dict[bytes, RecordPlace] = {}
        for disk in disks:
            for path in sorted(disk.path.glob("containers/*/*.container")):
                self._scan(disk, path)
        self._supersede()
        self._hold_against_checkpoint()

    def _supersede(self) -> None:
        """Of two records of one id the one that a later entry names counts, where it is there."""
        by_number = {scan.header.number: (path, scan) for path, scan in self.scans.items()}
        for entry in self.entries:
            if entry.kind != journal.SUPERSEDE or entry.details["container"] not in by_number:
                continue
            path, scan = by_number[entry.details["container"]]
            name = (entry.details["keyring"], entry.details["id"])
            for place in scan.places:
                if place.offset == entry.details["offset"]:
                    require((place.header.keyring, place.header.id) == name, f"{path} has another record there")
                    self._places[name] = RecordPlace(path, place.offset, place.header.length)

    def _hold_against_checkpoint(self) -> None:
        """Every container that the checkpoint names is on its disk, at least as long."""
        by_id = {disk.id: disk for disk in self.disks}
        for number, row in (self.checkpoint.containers if self.checkpoint else {}).items():
            if row.disk not in by_id or number in self.moved:
                continue
            path = by_id[row.disk].path / container.relative_path(number)
            require(path in self.scans, f"{path}, which the checkpoint names, is gone")
            require(path.stat().st_size >= row.length, f"{path} is shorter than the checkpoint says")
            require(self.lengths.get(number, row.length) >= row.length, f"the journal makes {path} shorter")
            require(not row.is_sealed or self.scans[path].directory is not None, f"{path} has no directory")

    def _tables(self) -> journal.Tables:
        """The newest checkpoint, then every later entry; without a checkpoint the journal begins at entry 1."""
        start, tables = 0, {}
        if self.checkpoint is not None:
            start, tables = self.checkpoint.number, {t: dict(rows) for t, rows in self.checkpoint.tables.items()}
            hashes = {entry.number: entry.hash for entry in self.entries}
            same = hashes.get(start, self.checkpoint.entry_hash) == self.checkpoint.entry_hash
            require(same, "the checkpoint belongs to another journal")
        later = [entry for entry in self.entries if entry.number > start]
        require(not later or later[0].number == start + 1, f"journal entries are missing after {start}")
        for entry in later:
            journal.apply(tables, entry)
        return tables

    def _scan(self, disk: Disk, path: Path) -> None:
        data = path.read_bytes()
        sealed = len(data) >= 2 * container.BLOCK_BYTES and data[-container.BLOCK_BYTES :][:4] == b"SSF1"
        if not sealed:
            acknowledged = self.lengths.get(int(path.stem, 16), len(data))
            require(acknowledged <= len(data), f"{path} is shorter than the {acknowledged} acknowledged bytes")
            data = data[:acknowledged]
        try:
            scan = container.scan(data)
        except Damage as error:
            raise Damage(f"{path}: {error}") from error
        require(scan.header.vault == disk.vault, f"{path} belongs to another vault")
        relative = container.relative_path(scan.header.number)
        require(path == disk.path / relative, f"{path} should be {relative}")
        require_kept = container.require_held if sealed else container.require_named
        require_kept(scan, self.named.get(scan.header.number, []))
        self.scans[path] = scan
        for place in scan.places:
            if (scan.header.number, place.offset) in self.dropped:
                continue
            found = RecordPlace(path, place.offset, place.header.length)
            self._places.setdefault((place.header.keyring, place.header.id), found)
            self._places_by_cid.setdefault(place.cid, found)

    def record(self, keyring: bytes, record_id: bytes) -> bytes:
        place = self._places.get((keyring, record_id))
        if place is None:
            raise Damage(f"the store has no record {record_id.hex()} of keyring {keyring.hex()}")
        return read_place(place)

    def payload_record(self, payload_hash: bytes) -> bytes:
        """By its cid: in the catalog, or else in a container."""
        for raw in self.found.payload_records:
            if container.record.cid(raw) == payload_hash:
                return raw
        place = self._places_by_cid.get(payload_hash)
        if place is None:
            raise Damage(f"the store has no payload record {payload_hash.hex()}")
        return read_place(place)


def read_place(place: RecordPlace) -> bytes:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.length)


def open_store(directory: Path, disk_paths: list[Path] | None = None) -> Store:
    disks = find_disks(directory) if disk_paths is None else [read_disk(path) for path in disk_paths]
    return Store(sorted(disks, key=lambda disk: disk.number))
