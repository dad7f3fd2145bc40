"""A store with a few containers, and its housekeeping as the daemon goes through it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from tests.vaultd.store.fakes import KEYRING, create, make_id, make_record, make_settings, read, records, reopen
from vaultd.store.errors import StoreError
from vaultd.store.index_rows import ContainerRow
from vaultd.store.store_settings import StoreSettings

# Three of them fill a container of 64 KiB.
SIZE = 20_000
EVERYTHING = 1 << 40


class KeptHouse:
    """`live` and `dead`: seeds of records that are to be there, and that are not."""

    def __init__(self, root: Path, seeds: Iterable[int] = range(1, 11), door: Any = None, disks: int = 1) -> None:
        self.settings: StoreSettings = make_settings(root, disks)
        self.store = create(self.settings, door)
        self.live = set(seeds)
        self.dead: set[int] = set()
        self.add(*sorted(self.live))

    def add(self, *seeds: int) -> None:
        for seed in seeds:
            self.store.append(0, records(seed, size=SIZE))
            self.store.commit()
        self.live |= set(seeds)
        self.dead -= set(seeds)

    def drop(self, *seeds: int, newest: int = EVERYTHING, leased: Collection[int] = ()) -> int:
        ids = {make_id(seed) for seed in seeds}
        needed = {make_id(seed) for seed in leased}
        house = self.store.house
        rows = [row for batch in house.rows(KEYRING) for row in batch if row[0][4:] in ids]
        return len(house.drop(KEYRING, rows, newest, lambda asked: [id_ in needed for id_ in asked]))

    def kill(self, *seeds: int) -> None:
        assert self.drop(*seeds) == len(seeds)
        self.dead |= set(seeds)
        self.live -= set(seeds)

    def move(self, number: int) -> bool:
        """Whether it went; its file stays."""
        house = self.store.house
        row = self.row(number)
        places = house.needed_of(row)
        if places is None:
            return False
        copies = house.copies(places)
        if copies is None:
            return False
        house.move(row, copies)
        assert house.needed_of(row) == []
        house.retire(row)
        return True

    def remove_files(self) -> list[int]:
        removed = self.store.house.remove_files()
        self.store.house.forget_files(removed)
        return removed

    def row(self, number: int) -> ContainerRow:
        return next(row for row in self.store.containers() if row.number == number)

    def numbers(self) -> list[int]:
        return [row.number for row in self.store.containers()]

    def files(self) -> list[int]:
        return sorted(int(path.stem, 16) for path in self.settings.disk_paths[0].glob("containers/*/*.container"))

    def close(self) -> None:
        self.store.close()

    def reopen(self, *, known: bool = True) -> None:
        self.store = reopen(self.settings, known=lambda key: known)

    def restart(self) -> None:
        self.close()
        self.reopen()

    def rebuild(self) -> None:
        """With the index lost."""
        self.close()
        shutil.rmtree(self.settings.index_path)
        self.reopen()

    def require(self) -> None:
        found = {seed: self._read(seed) for seed in self.live | self.dead}
        assert {seed for seed, record in found.items() if record is not None} == self.live
        for seed in self.live:
            assert found[seed] == make_record(seed, SIZE)
        missing = self.store.missing(KEYRING, [make_id(seed) for seed in sorted(found)])
        assert missing == [seed in self.dead for seed in sorted(found)]

    def _read(self, seed: int) -> bytes | None:
        try:
            return read(self.store, seed)
        except StoreError:
            return None
