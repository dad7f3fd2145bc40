"""Where a vault's disk has each record, read anew by the independent reader as journal and containers grow.

Works beside a vault that runs: what stands in the journal whole is looked at, a torn end counts as not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from tests.independent.reader import container, journal
from tests.independent.reader.damage import Damage

_SUFFIX = ".journal"


@dataclass(frozen=True, slots=True)
class Place:
    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


class KeptRecords:
    """`by_name` has the places of each keyring and id, by cid. Only what the journal names is in it."""

    def __init__(self, disks: list[Path]) -> None:
        self.by_name: dict[tuple[bytes, bytes], dict[bytes, Place]] = {}
        self._disks = disks
        self._segment = 1
        self._position = journal.SEGMENT.size
        self._ends: dict[int, int] = {}

    def refresh(self) -> None:
        for entry in self._new_entries():
            if entry.kind == journal.GROUP:
                for number, _, length, cids in entry.details["containers"]:
                    self._take_group(number, length, cids)

    def holds(self, keyring: bytes, id: bytes) -> Place | None:
        """A place where a record of this name lies whole now."""
        for cid, place in self.by_name.get((keyring, id), {}).items():
            if blake3(place.read()).digest() == cid:
                return place
        return None

    def _new_entries(self) -> Iterator[journal.Entry]:
        while True:
            yield from self._rest_of_segment()
            later = sorted(
                number
                for number in (int(path.stem, 16) for path in self._directory.glob(f"*{_SUFFIX}"))
                if number > self._segment
            )
            if not later:
                return
            self._segment, self._position = later[0], journal.SEGMENT.size

    def _rest_of_segment(self) -> Iterator[journal.Entry]:
        path = self._directory / f"{self._segment:016x}{_SUFFIX}"
        with path.open("rb") as file:
            file.seek(self._position)
            raw = file.read()
        at = 0
        while at < len(raw):
            try:
                entry, end = journal.parse_entry(raw, at)
            except Damage:
                break
            yield entry
            at = end
        self._position += at

    @property
    def _directory(self) -> Path:
        return self._disks[0] / "journal"

    def _take_group(self, number: int, length: int, cids: bytes) -> None:
        named = {cids[at : at + 32] for at in range(0, len(cids), 32)}
        start = self._ends.get(number, container.BLOCK_BYTES)
        self._ends[number] = length
        path = self._path(number)
        if path is None:
            return
        for place in _records(Place(path, start, length - start).read(), start):
            if place.cid in named:
                name = place.header.keyring, place.header.id
                found = Place(path, place.offset, place.header.length)
                self.by_name.setdefault(name, {})[place.cid] = found

    def _path(self, number: int) -> Path | None:
        paths = [disk / container.relative_path(number) for disk in self._disks]
        return next((path for path in paths if path.exists()), None)


def _records(data: bytes, start: int) -> Iterator[container.Place]:
    """Of a stretch that begins on a block boundary; it ends at the first byte that is no record."""
    position = 0
    while position < len(data):
        try:
            if data[position : position + 4] == b"SSP1":
                position = container.skip_padding(data, position)
                continue
            place = container.place_at(data, position)
        except Damage:
            return
        yield container.Place(start + position, place.header, place.cid)
        position += place.header.length
